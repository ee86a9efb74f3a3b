import AsyncHTTPClient
import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1

/// The admin API of a registry that has proved that it knows the token.
///
/// One proof is enough for a command with many requests.
struct AdminConnection {
  let client: ClusterClient
  private let token: String

  init(_ client: ClusterClient) async throws {
    self.client = client
    token = try await client.provenToken()
  }

  /// An answer of any status.
  func answer(
    _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, ifMatch: String? = nil
  ) async throws -> ClusterClient.Answer {
    try await client.request(
      method, client.address.registry + path, token: token, json: body.map { Data($0) },
      ifMatch: ifMatch)
  }

  /// The answer of a request that must succeed.
  func success(
    _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, ifMatch: String? = nil
  ) async throws -> ClusterClient.Answer {
    let answer = try await answer(method, path, body: body, ifMatch: ifMatch)
    guard (200..<300).contains(answer.status) else {
      throw ClusterClient.failure(
        status: answer.status, body: answer.body, url: client.address.registry + path)
    }
    return answer
  }

  /// Passes an answer to `use` piece by piece, so that it may have any length.
  func stream(_ path: String, _ use: ([UInt8]) -> Void) async throws {
    let url = client.address.registry + path
    let response = try await client.open(.GET, url, token: token, timeout: .hours(24))
    guard response.status == .ok else {
      let body = try await response.body.collect(upTo: ClusterClient.longestAnswer)
      throw ClusterClient.failure(
        status: Int(response.status.code), body: Data(body.readableBytesView), url: url)
    }
    do {
      for try await piece in response.body { use(Array(piece.readableBytesView)) }
    } catch let error as CancellationError {
      throw error
    } catch {
      throw ProcessFailure(
        .unavailable, "\(url) broke off its answer, so the output is incomplete (\(error))")
    }
  }

  // MARK: - Lists

  /// Records in one answer.
  private static let pageLength = 1_000
  /// A registry that repeats its pages must not keep the command busy without end.
  private static let maximumPages = 1_000

  /// Passes the pages of a list to `use`, with the registry's answer.
  ///
  /// - Parameter query: parameters that all pages have, for example `model=m`.
  func eachPage(
    of kind: RecordKind, query: String = "",
    _ use: ([RecordValue], ClusterClient.Answer) throws -> Void
  ) async throws {
    var place = ""
    for page in 1...Self.maximumPages {
      let parameters = [
        query, kind.paging == .none ? "" : "limit=\(Self.pageLength)", place,
      ].filter { !$0.isEmpty }.joined(separator: "&")
      let answer = try await success(
        .GET, kind.path + (parameters.isEmpty ? "" : "?" + parameters))
      guard let value = RecordValue(json: Array(answer.body)),
        let elements = kind.elements(of: value)
      else {
        throw ProcessFailure(
          .failed, "the registry's answer is not a list; is the address right?")
      }
      try use(elements, answer)
      guard value["has_more"] == .boolean(true), let last = elements.last else { return }
      switch kind.paging {
      case .after: place = "after=" + PathText.escaped(last["id"]?.text ?? "")
      case .offset: place = "offset=\(page * Self.pageLength)"
      case .none: return
      }
    }
  }

  // MARK: - All records

  /// Reads the records of these kinds.
  func state(of kinds: [RecordKind]) async throws -> ClusterState {
    var state = ClusterState()
    for kind in kinds {
      if kind.isRecent, try await answer(.GET, kind.path).status == 404 {
        state.setUnknown(kind)
        continue
      }
      try await eachPage(of: kind) { elements, _ in try state.add(elements, of: kind) }
    }
    for id in state.keyIDs {
      let answer = try await success(.GET, RecordKind.keyBudgetsPath(id))
      state.setKeyBudgets(RecordValue(json: Array(answer.body)) ?? .null, of: id)
    }
    return state
  }

  /// Makes one change.
  ///
  /// - Returns: the secret of a new key.
  func apply(_ change: RecordChange) async throws -> String? {
    var id = change.id
    var secret: String?
    var isFirst = true
    for call in change.firstCalls {
      let answer = try await perform(call, of: isFirst ? change : nil)
      isFirst = false
      guard change.makesKey else { continue }
      let made = RecordValue(json: Array(answer.body))
      guard let newID = made?["id"]?.text, let key = made?["key"]?.text else {
        throw ProcessFailure(.failed, "the registry's answer has no key; is the address right?")
      }
      (id, secret) = (newID, key)
    }
    do {
      for call in change.followingCalls(id: id) { _ = try await perform(call, of: nil) }
    } catch let failure as ProcessFailure {
      guard let secret else { throw failure }
      throw IncompleteKey(secret: secret, failure: failure)
    }
    return secret
  }

  /// A key that was made, but not with all its members.
  struct IncompleteKey: Error {
    let secret: String
    let failure: ProcessFailure
  }

  /// - Parameter change: its members must not have changed since the comparison. `nil` means that
  ///   this command has just changed the record.
  private func perform(
    _ call: AdminCall, of change: RecordChange?
  ) async throws -> ClusterClient.Answer {
    var etag: String?
    if let path = call.guardPath {
      let present = try await success(.GET, path)
      etag = present.etag
      let stale = change?.staleMembers(in: RecordValue(json: Array(present.body)) ?? .null) ?? []
      guard stale.isEmpty else {
        throw ProcessFailure(
          .failed,
          "\(stale.joined(separator: ", ")) was changed by another admin since the comparison")
      }
    }
    return try await success(
      HTTPMethod(rawValue: call.method.rawValue), call.path, body: call.body?.encoded,
      ifMatch: etag)
  }
}
