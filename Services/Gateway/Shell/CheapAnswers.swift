import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import Overload
import OverloadCore
import ServiceKit

/// Delays refusals and pages of a client that gets too many of them (`ClientPace`). They are charged
/// to the request's key, or to the client's address if the request has no valid key.
struct CheapAnswers: RouterMiddleware {
  typealias Context = BasicRequestContext

  let pace: AnswerPace

  /// Paths whose answers always come at once.
  private static let exempt: Set<String> = ["/health", "/ready", "/metrics"]

  @concurrent
  func handle(
    _ request: Request, context: BasicRequestContext,
    next: @concurrent (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    guard let connection = ClientConnection.current else { return try await next(request, context) }
    connection.forgetKeyOfRequest()
    do {
      let response = try await next(request, context)
      if Self.isCheap(request, response.status.code) {
        await connection.delay(by: pace.take(connection.owner))
      }
      return response
    } catch {
      if let status = Self.status(of: error), Self.isCheap(request, status) {
        await connection.delay(by: pace.take(connection.owner))
      }
      throw error
    }
  }

  /// Whether an answer is a page, or an error that the client caused. Programs that complete text
  /// as a person types abandon most requests, so a request whose client left does not count.
  static func isCheap(_ request: Request, _ status: Int) -> Bool {
    guard !exempt.contains(request.uri.path), status != RequestJournal.clientLeftStatus else {
      return false
    }
    return request.method == .get || request.method == .head || (400..<500).contains(status)
  }

  private static func status(of error: any Error) -> Int? {
    switch error {
    case let failure as Failure: httpStatus(of: failure).code
    case let error as HTTPError: error.status.code
    default: nil
    }
  }
}

extension ClientConnection {
  /// Number that identifies the owner of the current request: its key, or the client's address.
  fileprivate var owner: UInt64 {
    let owner = keyOfRequest.map { BodyOwner.key($0.number) } ?? .address(client)
    return owner.turn
  }
}
