import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import Overload
import OverloadCore
import ServiceKit

/// Delays refusals and pages of a client that gets too many of them (`ClientPace`). They are charged
/// to the request's key, or to the client's address if the request has no valid key. Health checks
/// and requests that their clients leave are charged less.
struct CheapAnswers: RouterMiddleware {
  typealias Context = BasicRequestContext

  let pace: AnswerPace

  /// Paths of health checks. They may come more often than other pages.
  private static let healthPaths: Set<String> = ["/health", "/ready"]

  @concurrent
  func handle(
    _ request: Request, context: BasicRequestContext,
    next: @concurrent (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    guard let connection = ClientConnection.current else { return try await next(request, context) }
    connection.forgetKeyOfRequest()
    do {
      let response = try await next(request, context)
      await charge(request, response.status.code, to: connection)
      return response
    } catch {
      if let status = Self.status(of: error) { await charge(request, status, to: connection) }
      throw error
    }
  }

  private func charge(_ request: Request, _ status: Int, to connection: ClientConnection) async {
    guard let charge = Self.charge(request, status) else { return }
    let delay = pace.take(connection.owner, for: charge)
    // The client of an abandoned request reads no answer, so its next requests are delayed instead.
    if charge != .abandoned { await connection.delay(by: delay) }
  }

  /// The charge of a client for an answer: a page, an error that it caused, or a request that it
  /// abandoned. `nil` means nothing: the request was worth its cost, or a scraper reads metrics.
  static func charge(_ request: Request, _ status: Int) -> ClientPace.Charge? {
    if status == RequestJournal.clientLeftStatus { return .abandoned }
    let path = request.uri.path
    if path == "/metrics", (200..<300).contains(status) { return nil }
    if healthPaths.contains(path) { return .healthCheck }
    let isCheap =
      request.method == .get || request.method == .head || (400..<500).contains(status)
    return isCheap ? .answer : nil
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
