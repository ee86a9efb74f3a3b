import Access
import BusCore
import ClusterModel
import HTTPTypes
import Hummingbird
import Limits
import Logging
import NIOCore
import OverloadCore
import Testing

@testable import ServiceKit

/// A process that checks keys, and the requests of one client.
private struct Keys {
  let key: APIKey
  let other: APIKey
  private let pepper: KeyPepper
  private let access: AccessDirectory
  private let checker: KeyChecker

  init() throws {
    key = try #require(APIKey(random: (0..<48).map { UInt8($0) }))
    other = try #require(APIKey(random: (100..<148).map { UInt8($0) }))
    pepper = try #require(KeyPepper([UInt8](repeating: 7, count: 32)))
    access = AccessDirectory(
      ask: { _ throws(Failure) in throw Failure(.cancelled, "the test has no registry") },
      logger: Logger(label: "test"))
    checker = KeyChecker(access)
  }

  /// Publishes the key.
  func publish(
    _ revision: UInt64, state: KeyState = .active, expiresAt: WallMilliseconds? = nil
  ) throws {
    let record = KeyRecord(
      id: key.id, name: "k", account: try #require(AccountPath("acme")),
      hash: KeyHash(of: key, pepper: pepper), scopes: [.chat], state: state, expiresAt: expiresAt)
    access.apply(
      .accessTablePage(
        AccessTablePage(
          version: AccessTableVersion(epoch: 1, revision: revision), page: 0, pages: 1,
          isOpen: false, pepper: pepper, records: [record])))
  }

  /// - Returns: the error's code. `nil` means that the request was admitted for `key`.
  func check(
    _ headers: HTTPFields, path: String = "/v1/models", scope: AccessScope = .chat,
    on connection: ClientConnection
  ) -> Failure.Code? {
    let request = Request(
      head: HTTPRequest(
        method: .get, scheme: "http", authority: "t", path: path, headerFields: headers),
      body: RequestBody(buffer: .init()))
    return ClientConnection.$current.withValue(connection) {
      do throws(Failure) {
        let grant = try checker.grant(request, for: AccessNeed(scope))
        return grant?.id == key.id ? nil : .internalError
      } catch {
        return error.code
      }
    }
  }

  func bearer(_ key: APIKey) -> HTTPFields { [.authorization: "Bearer \(key.revealed)"] }
}

@Suite("Keys that a connection presents again")
struct VerifiedKeyTests {
  private let connection = ClientConnection(client: .local, end: AnswerEnd(), channel: nil)

  @Test("a change of the keys ends what a connection may do")
  func revocation() throws {
    let keys = try Keys()
    try keys.publish(1)
    for _ in 0..<3 { #expect(keys.check(keys.bearer(keys.key), on: connection) == nil) }
    try keys.publish(2, state: .revoked)
    #expect(keys.check(keys.bearer(keys.key), on: connection) == .invalidAPIKey)
    try keys.publish(3)
    #expect(keys.check(keys.bearer(keys.key), on: connection) == nil)
    // The key is active in the new table, but has expired.
    try keys.publish(4, expiresAt: 1)
    #expect(keys.check(keys.bearer(keys.key), on: connection) == .invalidAPIKey)
  }

  @Test("a scope is checked for every request")
  func scope() throws {
    let keys = try Keys()
    try keys.publish(1)
    let headers = keys.bearer(keys.key)
    #expect(keys.check(headers, on: connection) == nil)
    #expect(keys.check(headers, scope: .metrics, on: connection) == .permissionDenied)
    #expect(keys.check(headers, on: connection) == nil)
  }

  @Test("a wrong key after a right one is refused and counted, and the right one still works")
  func wrongKeys() throws {
    let keys = try Keys()
    try keys.publish(1)
    #expect(keys.check(keys.bearer(keys.key), on: connection) == nil)
    for _ in 0..<Limits.accessFailures.value {
      #expect(keys.check(keys.bearer(keys.other), on: connection) == .invalidAPIKey)
    }
    #expect(keys.check(keys.bearer(keys.other), on: connection) == .rateLimited)
    #expect(keys.check(keys.bearer(keys.key), on: connection) == nil)
  }

  @Test("another header or parameter that contains a key is not ignored")
  func otherPlaces() throws {
    let keys = try Keys()
    try keys.publish(1)
    #expect(keys.check(keys.bearer(keys.key), on: connection) == nil)
    for name in [HTTPField.Name.xAPIKey, .apiKey, .authorization] {
      var headers = keys.bearer(keys.key)
      headers.append(HTTPField(name: name, value: "Bearer \(keys.other.revealed)"))
      #expect(keys.check(headers, on: connection) == .invalidAPIKey)
    }
    let path = "/v1/models?key=\(keys.key.revealed)"
    #expect(keys.check(keys.bearer(keys.key), path: path, on: connection) == .invalidAPIKey)
    #expect(keys.check([.xAPIKey: keys.key.revealed], on: connection) == nil)
    #expect(keys.check([:], on: connection) == .invalidAPIKey)
  }

  @Test("a header is remembered for some seconds and for one version of the keys")
  func lifetime() throws {
    let keys = try Keys()
    let record = KeyRecord(
      id: keys.key.id, name: "k", account: try #require(AccountPath("acme")),
      hash: try #require(KeyHash([UInt8](repeating: 1, count: 32))), scopes: [.chat])
    let version = AccessTableVersion(epoch: 1, revision: 1)
    let verified = VerifiedKey()
    let start = Instant(sinceStart: .seconds(100))
    let end = start + VerifiedKey.lifetime
    #expect(verified.grant(presentedAs: "Bearer a", in: version, at: start) == nil)
    verified.remember(KeyGrant(record), presentedAs: "Bearer a", in: version, at: start)
    #expect(verified.grant(presentedAs: "Bearer a", in: version, at: start)?.record == record)
    for header in ["Bearer b", "Bearer ", "Bearer aa", ""] {
      #expect(verified.grant(presentedAs: header, in: version, at: start) == nil)
    }
    let next = AccessTableVersion(epoch: 1, revision: 2)
    #expect(verified.grant(presentedAs: "Bearer a", in: next, at: start) == nil)
    #expect(verified.grant(presentedAs: "Bearer a", in: version, at: end) == nil)
    #expect(verified.grant(presentedAs: "Bearer a", in: version, at: .zero) == nil)
  }
}
