import ClusterModel
import Testing

@testable import ServiceKit

@Suite("Names and web pages that a server answers")
struct HTTPAccessTests {
  private static let local = HTTPAccess(listen: HostAndPort(port: 8080), machine: "Box")
  private static let open = HTTPAccess(listen: HostAndPort(host: "0.0.0.0", port: 8080))
  private static let listed = HTTPAccess(
    listen: HostAndPort(port: 8080), hosts: ["Chat.Example", ".corp.example"],
    origins: ["https://app.example", "chrome-extension://abc"])

  @Test(
    "a server on loopback answers to this machine's names and to no other",
    arguments: [
      ("127.0.0.1:8080", true), ("localhost", true), ("LOCALHOST:8080", true), ("localhost.", true),
      ("api.localhost:8080", true), ("[::1]:8080", true), ("127.0.0.2", true), ("box:8080", true),
      ("[::ffff:127.0.0.1]", true),
      ("evil.example", false), ("evil.example:8080", false), ("127.0.0.1.evil.example", false),
      ("localhost.evil.example", false), ("10.0.0.7:8080", false), ("gateway", false), ("", false),
      ("evil.example@localhost", false), ("127.0.0.1:80a", false), ("[::1", false), ("::1", false),
      ("0.0.0.0:8080", false),
    ])
  func loopback(host: String, isAnswered: Bool) {
    #expect((Self.local.refusal(host: host, origin: nil) == nil) == isAnswered)
  }

  @Test(
    "a server on a network accepts addresses, and names that cannot be registered publicly",
    arguments: [
      ("gateway:8080", true), ("registry", true), ("192.168.1.5:8080", true), ("[fd00::5]", true),
      ("nas.local", true), ("gateway.tutti.svc", true), ("x.svc.cluster.local", true),
      ("localhost", true), ("evil.example", false), ("local", true), ("notlocal.com", false),
    ])
  func network(host: String, isAnswered: Bool) {
    #expect((Self.open.refusal(host: host, origin: nil) == nil) == isAnswered)
  }

  @Test("a server answers to its listed names, to those below a listed domain, and to all with *")
  func listedNames() {
    func isAnswered(_ host: String) -> Bool { Self.listed.refusal(host: host, origin: nil) == nil }
    #expect(isAnswered("chat.example:8080") && isAnswered("a.b.corp.example"))
    #expect(!isAnswered("corp.example") && !isAnswered("evilcorp.example"))
    let all = HTTPAccess(listen: HostAndPort(port: 1), hosts: ["*"])
    #expect(all.refusal(host: "evil.example", origin: nil) == nil)
    let dotted = HTTPAccess(listen: HostAndPort(port: 1), hosts: ["Chat.Example."])
    #expect(dotted.refusal(host: "chat.example", origin: nil) == nil)
  }

  @Test(
    "pages of other sites are refused, those of this machine and of the same name are not",
    arguments: [
      ("http://localhost:3000", "127.0.0.1:8080", true), ("tauri://localhost", "localhost", true),
      ("http://127.0.0.1:8080", "127.0.0.1:8080", true), ("http://box:1", "localhost", true),
      ("https://evil.example", "127.0.0.1:8080", false), ("null", "127.0.0.1:8080", false),
      ("https://localhost.evil.example", "localhost", false), ("evil", "localhost", false),
      ("https://chat.example", "localhost", false), ("", "localhost", false),
    ])
  func pages(origin: String, host: String, isAnswered: Bool) {
    #expect((Self.local.refusal(host: host, origin: origin) == nil) == isAnswered)
    #expect(Self.local.readableOrigin(origin) == nil)
  }

  @Test("a server that accepts every Host still refuses pages of other sites")
  func everyHost() {
    let all = HTTPAccess(listen: HostAndPort(port: 8080), hosts: ["*"])
    #expect(all.refusal(host: "127.0.0.1:8080", origin: "https://evil.example") != nil)
    #expect(all.refusal(host: "chat.example", origin: "https://chat.example") == nil)
  }

  @Test("a page of the server's own name is answered on a network")
  func samePage() {
    #expect(Self.open.refusal(host: "nas:8080", origin: "http://nas:3000") == nil)
    #expect(Self.open.refusal(host: "nas:8080", origin: "http://other") != nil)
  }

  @Test("listed pages are answered and may read answers")
  func listedPages() {
    for origin in ["https://app.example", "chrome-extension://abc", "https://APP.example/"] {
      #expect(Self.listed.refusal(host: "localhost", origin: origin) == nil)
      #expect(Self.listed.readableOrigin(origin) == origin)
    }
    // An allowed host name does not permit a page to read the answer.
    #expect(Self.listed.refusal(host: "localhost", origin: "https://chat.example") == nil)
    #expect(Self.listed.readableOrigin("https://chat.example") == nil)
    #expect(Self.listed.refusal(host: "localhost", origin: "http://app.example") != nil)
    let all = HTTPAccess(listen: HostAndPort(port: 1), origins: ["*"])
    #expect(all.readableOrigin("null") == "*")
  }

  @Test("a refusal names the host or the page and the setting that allows it")
  func words() throws {
    let host = try #require(Self.local.refusal(host: "evil.example", origin: nil))
    #expect(host.code == .permissionDenied && host.message.contains("\"evil.example\""))
    #expect(host.message.contains("--allowed-hosts"))
    let page = try #require(Self.local.refusal(host: "localhost", origin: "https://evil.example"))
    #expect(page.message.contains("\"https://evil.example\""))
    #expect(page.message.contains("--allowed-origins"))
    let long = try #require(
      Self.local.refusal(host: String(repeating: "x", count: 9_000), origin: nil))
    #expect(long.message.utf8.count < 600)
  }

  @Test("settings that are no origin or no host name are mistakes")
  func settings() {
    #expect(HTTPAccess.problem(ofOrigin: "https://a.example:3000") == nil)
    #expect(HTTPAccess.problem(ofOrigin: "*") == nil && HTTPAccess.problem(ofOrigin: "null") == nil)
    #expect(HTTPAccess.problem(ofOrigin: "a.example") != nil)
    #expect(HTTPAccess.problem(ofOrigin: "https://a.example/path") != nil)
    #expect(
      HTTPAccess.problem(ofHost: ".a.example") == nil && HTTPAccess.problem(ofHost: "*") == nil)
    #expect(HTTPAccess.problem(ofHost: "a.example:80") != nil)
    #expect(HTTPAccess.problem(ofHost: "https://a.example") != nil)
  }
}
