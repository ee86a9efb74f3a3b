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
    func header(_ value: String, _ name: HTTPField.Name = .authorization) -> KeyHeader {
      KeyHeader(name: name, value: value)
    }
    let known = header("Bearer a")
    #expect(verified.grant(presentedAs: known, in: version, at: start) == nil)
    verified.remember(KeyGrant(record), presentedAs: known, in: version, at: start)
    #expect(verified.grant(presentedAs: known, in: version, at: start)?.record == record)
    let others = ["Bearer b", "Bearer ", "Bearer aa", ""].map { header($0) }
    for other in others + [header("Bearer a", .xAPIKey), header("Bearer a", .apiKey)] {
      #expect(verified.grant(presentedAs: other, in: version, at: start) == nil)
    }
    let next = AccessTableVersion(epoch: 1, revision: 2)
    #expect(verified.grant(presentedAs: known, in: next, at: start) == nil)
    #expect(verified.grant(presentedAs: known, in: version, at: end) == nil)
    #expect(verified.grant(presentedAs: known, in: version, at: .zero) == nil)
  }

  @Test("a key of a connection is remembered for each header that may contain one")
  func eachHeader() throws {
    let keys = try Keys()
    try keys.publish(1)
    for name in [HTTPField.Name.authorization, .xAPIKey, .apiKey] {
      let value = name == .authorization ? "Bearer \(keys.key.revealed)" : keys.key.revealed
      let connection = ClientConnection(client: .local, end: AnswerEnd(), channel: nil)
      #expect(keys.check([name: value], on: connection) == nil)
      let header = KeyHeader(name: name, value: value)
      let version = AccessTableVersion(epoch: 1, revision: 1)
      // The time of the check is not known, so some times after the start are tried.
      let grants = (0..<600).compactMap { seconds in
        connection.verifiedKey.grant(
          presentedAs: header, in: version, at: Instant(sinceStart: .seconds(seconds)))
      }
      #expect(grants.first?.id == keys.key.id, "\(name)")
      // A wrong key in the same header is not the remembered one.
      let other = name == .authorization ? "Bearer \(keys.other.revealed)" : keys.other.revealed
      #expect(keys.check([name: other], on: connection) == .invalidAPIKey, "\(name)")
    }
  }

  @Test("a request with keys in two headers, or with a query, is read in full")
  func onlyKeyHeader() {
    func header(_ fields: HTTPFields, path: String = "/v1/models") -> KeyHeader? {
      Request(
        head: HTTPRequest(
          method: .get, scheme: "http", authority: "t", path: path, headerFields: fields),
        body: RequestBody(buffer: .init())
      ).onlyKeyHeader
    }
    #expect(header([.apiKey: "a", .accept: "b"]) == KeyHeader(name: .apiKey, value: "a"))
    #expect(header([.xAPIKey: "a", .apiKey: "a"]) == nil)
    #expect(header([.authorization: "a", .xAPIKey: "a"]) == nil)
    #expect(header([.xAPIKey: "a"], path: "/v1/models?a=b") == nil)
    #expect(header([.accept: "a"]) == nil)
  }
}
