import Access
import ClusterModel
import CommandLineCore
import Foundation
import Limits
import NIOHTTP1

/// The registry's API of keys.
extension ClusterClient {
  private struct KeyPage: Decodable {
    let data: [KeyRow]
    let hasMore: Bool?
    /// Whether no key was ever created.
    let isOpen: Bool?

    enum CodingKeys: String, CodingKey {
      case data
      case hasMore = "has_more"
      case isOpen = "is_open"
    }
  }

  private var keysURL: String { address.registry + "/admin/v1/keys" }

  private func keyURL(_ id: KeyID) -> String { keysURL + "/\(id)" }

  /// Whether requests need no key, because no key was ever created. `nil` means not known.
  func isOpen() async throws -> Bool? { try await keyPage("?limit=1").page.isOpen }

  private func keyPage(_ query: String) async throws -> (page: KeyPage, answer: Answer) {
    let answer = try await success(.GET, keysURL + query, token: provenToken())
    return (try answer.decoded(as: KeyPage.self, from: keysURL), answer)
  }

  /// Maximum keys in one answer.
  private static let pageLength = 1_000

  /// Passes the selected keys to `use`, page by page, with the registry's answer.
  func eachKeyPage(
    _ filter: KeyListFilter, _ use: ([KeyRow], Answer) throws -> Void
  ) async throws {
    let first = "?limit=\(Self.pageLength)" + filter.query
    var query = first
    // A registry that repeats its pages must not keep the command busy without end.
    for _ in 0...Limits.accessKeys.value / Self.pageLength {
      let (page, answer) = try await keyPage(query)
      try use(page.data, answer)
      guard page.hasMore == true else { return }
      guard let last = page.data.last else { break }
      query = first + "&after=\(Self.escaped(last.id))"
    }
    throw AdminConnection.endless("/admin/v1/keys")
  }

  func key(_ id: KeyID) async throws -> Answer {
    try await success(.GET, keyURL(id), token: provenToken())
  }

  /// - Returns: an answer that contains the new key.
  func createKey(_ body: [UInt8]) async throws -> Answer {
    try await success(.POST, keysURL, token: provenToken(), json: Data(body))
  }

  func changeKey(_ id: KeyID, _ body: [UInt8]) async throws -> Answer {
    try await success(.PATCH, keyURL(id), token: provenToken(), json: Data(body))
  }

  /// - Parameter grace: milliseconds for which the old key stays valid. `nil` means that the
  ///   registry chooses.
  /// - Returns: an answer that contains the new key.
  func rotateKey(_ id: KeyID, grace: Int64?) async throws -> Answer {
    let body = grace.map { #"{"grace_ms":\#($0)}"# } ?? "{}"
    return try await success(
      .POST, keyURL(id) + "/rotate", token: provenToken(), json: Data(body.utf8))
  }

  func setKey(_ id: KeyID, enabled: Bool) async throws -> Answer {
    try await success(
      .POST, keyURL(id) + (enabled ? "/enable" : "/disable"), token: provenToken())
  }

  func revokeKey(_ id: KeyID) async throws -> Answer {
    try await success(.DELETE, keyURL(id), token: provenToken())
  }

  /// The part of an account that does not exist. `nil` means that the account exists or needs no
  /// record.
  func missing(_ account: AccountPath) async throws -> MissingAccount? {
    func exists(_ kind: RecordKind, _ id: String) async throws -> Bool {
      let url = address.registry + kind.path(of: id)
      return try await request(.GET, url, token: provenToken()).status != 404
    }
    let organisation = account.organisation
    guard try await exists(.organisations, organisation) else {
      return MissingAccount(account, organisations: [], teams: [])
    }
    guard account.team != nil else { return nil }
    let hasTeam = try await exists(.teams, "\(account)")
    return MissingAccount(
      account, organisations: [organisation], teams: hasTeam ? ["\(account)"] : [])
  }
}
