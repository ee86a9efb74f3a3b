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

  /// Sends a request and returns its answer with any status.
  ///
  /// - Throws: if there is no answer. Even then, the registry may have made the change.
  func answer(
    _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, ifMatch: String? = nil,
    timeout: TimeAmount = ClusterClient.requestTimeout
  ) async throws -> ClusterClient.Answer {
    try await client.request(
      method, client.address.registry + path, token: token, json: body.map { Data($0) },
      ifMatch: ifMatch, timeout: timeout)
  }

  /// Sends a request and returns its answer. Throws if the status is not a success.
  func success(
    _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, ifMatch: String? = nil,
    timeout: TimeAmount = ClusterClient.requestTimeout
  ) async throws -> ClusterClient.Answer {
    let answer = try await answer(
      method, path, body: body, ifMatch: ifMatch, timeout: timeout)
    guard (200..<300).contains(answer.status) else { throw failure(answer, at: path) }
    return answer
  }

  /// Passes an answer to `use` piece by piece, so that the answer may have any length.
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
        .unavailable,
        "\(url) broke off its answer, so the output is incomplete "
          + "(\(ErrorSentence.problem(error).sentence))")
    }
  }

  // MARK: - Lists

  /// Maximum records in one answer.
  private static let pageLength = 1_000
  /// Maximum pages of a list. A registry that repeats its pages must not keep the command busy
  /// without end.
  private static let maximumPages = 1_000

  /// Passes each page of a list to `use`, together with the registry's answer.
  ///
  /// - Parameter query: parameters that all pages have, for example `model=m`.
  /// - Throws: if a request fails, or if the list has more than `maximumPages` pages. A part of a
  ///   list must not pass for the whole list.
  func eachPage(
    of kind: RecordKind, query: String = "",
    _ use: ([RecordValue], ClusterClient.Answer) throws -> Void
  ) async throws {
    var place = ""
    for _ in 1...Self.maximumPages {
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
      guard value["has_more"] == .boolean(true) else { return }
      let cursor: String? =
        switch kind.paging {
        case .after: elements.last?["id"]?.text
        case .next: value["next"]?.text
        case .none: nil
        }
      guard let cursor else { throw Self.endless(kind.path) }
      place = "after=" + PathText.escaped(cursor)
    }
    throw Self.endless(kind.path)
  }

  static func endless(_ path: String) -> ProcessFailure {
    ProcessFailure(
      .failed, "the registry's list \(path) has no end; does the registry have this version?")
  }

  // MARK: - All records

  /// Reads the records of these kinds.
  ///
  /// - Parameter keyBudgets: whether to read the budgets of keys, with a request for each key.
  func state(of kinds: [RecordKind], keyBudgets: Bool = true) async throws -> ClusterState {
    var state = ClusterState()
    for kind in kinds {
      if kind.isRecent, try await answer(.GET, kind.path).status == 404 {
        state.setUnknown(kind)
        continue
      }
      try await eachPage(of: kind) { elements, _ in try state.add(elements, of: kind) }
    }
    guard keyBudgets else { return state }
    for id in state.keyIDs {
      let answer = try await success(.GET, RecordKind.keyBudgetsPath(id))
      state.setKeyBudgets(RecordValue(json: Array(answer.body)) ?? .null, of: id)
    }
    return state
  }

  /// Names of the keys that were created after `state` was read.
  func newKeyNames(since state: ClusterState) async throws -> Set<String> {
    var present = ClusterState()
    try await eachPage(of: .keys) { elements, _ in try present.add(elements, of: .keys) }
    return present.keyNames(except: state.keyIDs)
  }

  // MARK: - Changes

  /// Makes one change.
  ///
  /// - Parameter save: saves the secret of a new key. It is called before the key's budgets and
  ///   state are set, so that an interruption loses no secret.
  func apply(
    _ change: RecordChange, saving save: (String) throws(ProcessFailure) -> Void
  ) async throws {
    var id = change.id
    for call in change.firstCalls {
      guard let answer = try await perform(call, of: change) else { continue }
      if change.makesKey { id = try await keep(answer, save) }
    }
    do {
      for call in change.followingCalls(id: id) { _ = try await perform(call, of: change) }
    } catch let failure as ProcessFailure where change.makesKey {
      throw ProcessFailure(
        failure.status, "key \(id) was made, and its secret is saved, but \(failure.message)")
    }
  }

  /// Saves the secret of a new key. A key whose secret cannot be saved is revoked.
  ///
  /// - Returns: the key's id.
  private func keep(
    _ answer: ClusterClient.Answer, _ save: (String) throws(ProcessFailure) -> Void
  ) async throws -> String {
    let made = RecordValue(json: Array(answer.body))
    guard let id = made?["id"]?.text, let key = made?["key"]?.text else {
      throw ProcessFailure(.failed, "the registry's answer has no key; is the address right?")
    }
    do throws(ProcessFailure) {
      try save(key)
    } catch {
      let revoked = try? await self.answer(.DELETE, RecordKind.keys.path(of: id))
      let isRevoked = revoked.map { (200..<300).contains($0.status) } ?? false
      throw ProcessFailure(
        error.status,
        "\(error.message) The key's secret is lost, so "
          + (isRevoked ? "key \(id) was revoked" : "revoke it: `tutti keys revoke \(id)`"))
    }
    return id
  }

  /// Makes a call if the record has not changed since the comparison.
  ///
  /// - Returns: `nil` if no call is needed, because the record to remove is gone already.
  private func perform(
    _ call: AdminCall, of change: RecordChange
  ) async throws -> ClusterClient.Answer? {
    var etag: String?
    if let path = call.guardPath {
      let present = try await answer(.GET, path)
      let verdict = CallGuard(call, of: change).verdict(
        status: present.status, etag: present.etag,
        answer: RecordValue(json: Array(present.body)))
      switch verdict {
      case .proceed(let tag): etag = tag
      case .isDone: return nil
      case .changed(let members):
        throw ProcessFailure(
          .failed,
          "\(members.joined(separator: ", ")) was changed by another admin since the comparison")
      case .failed: throw failure(present, at: path)
      }
    }
    let answer = try await repeatDuringHolds {
      do {
        return try await self.answer(
          HTTPMethod(rawValue: call.method.rawValue), call.path, body: call.body?.encoded,
          ifMatch: etag)
      } catch let failure as ProcessFailure {
        throw ProcessFailure(failure.status, change.unknownOutcome(failure.message))
      }
    }
    guard (200..<300).contains(answer.status) else {
      var failure = failure(answer, at: call.path)
      // After this status, the registry may have made a key whose secret is lost.
      if change.makesKey, failure.status == .unavailable {
        failure.message = change.unknownOutcome(failure.message)
      }
      throw failure
    }
    return answer
  }

  /// Removes a record. Waits some seconds if gateways hold credits for its requests.
  ///
  /// - Parameter tag: ETag that the record must have. `nil` means any.
  func remove(_ path: String, ifMatch tag: String?) async throws {
    let answer = try await repeatDuringHolds {
      try await self.answer(.DELETE, path, ifMatch: tag)
    }
    guard (200..<300).contains(answer.status) else { throw failure(answer, at: path) }
  }

  /// Number of times that a removal is sent while gateways hold credits for the account.
  private static let holdAttempts = 20
  private static let holdPause = Duration.milliseconds(500)

  /// Sends a request, again while gateways hold credits for the account that it removes. They
  /// return the credits of a revoked key within moments, unless its requests are still running.
  private func repeatDuringHolds(
    _ request: () async throws -> ClusterClient.Answer
  ) async throws -> ClusterClient.Answer {
    var attempts = 0
    while true {
      let answer = try await request()
      attempts += 1
      guard attempts < Self.holdAttempts, Self.hasHolds(answer) else { return answer }
      try await Task.sleep(for: Self.holdPause)
    }
  }

  private static func hasHolds(_ answer: ClusterClient.Answer) -> Bool {
    answer.status == 409
      && RecordValue(json: Array(answer.body))?["error"]?["code"] == .text("holds_open")
  }

  /// Turns an unsuccessful answer into a failure of the command.
  func failure(_ answer: ClusterClient.Answer, at path: String) -> ProcessFailure {
    ClusterClient.failure(
      status: answer.status, body: answer.body, url: client.address.registry + path)
  }
}
