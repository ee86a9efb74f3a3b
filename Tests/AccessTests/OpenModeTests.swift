import Access
import ClusterModel
import Testing

@Suite("Open mode")
struct OpenModeTests {
  private let guarded = OpenMode(listedNames: ["Tutti.Home"])

  private func isAccepted(host: String?, origin: String? = nil, method: String = "POST") -> Bool {
    guarded.refusal(host: host, origin: origin, method: method) == nil
  }

  @Test(
    "names of this machine and listed names are accepted, with and without a port",
    arguments: [
      "localhost", "LocalHost:8080", "localhost.", "127.0.0.1", "127.0.0.1:65535",
      "127.255.255.254:1", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "tutti.home:8080",
      "TUTTI.HOME",
    ])
  func ownNames(host: String) {
    #expect(isAccepted(host: host))
    #expect(isAccepted(host: "localhost", origin: "http://\(host)"))
    #expect(isAccepted(host: "localhost", origin: "HTTPS://\(host)"))
  }

  @Test(
    "other names are refused, also those that resemble this machine's",
    arguments: [
      "", ":8080", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil",
      "evil-localhost", "127.evil.example", "127.1", "127.0.0.256", "127.0.0.+1", "127.0.0.0001",
      "0.0.0.0", "10.0.0.1", "[::2]", "[::1", "::1", "[::1]x", "[::1]:", "localhost:", "[::1]:x",
      "localhost:x", "localhost:99999", "localhost:+80", "localhost:80:80", "localhost@evil",
      "evil.example#localhost", "localhost/", " localhost", "localhost\u{0}", "lоcalhost",
      "x.tutti.home", "2130706433", "0x7f000001", String(repeating: "a", count: 1 << 20),
      String(repeating: "localhost", count: 100),
    ])
  func foreignNames(host: String) {
    #expect(!isAccepted(host: host))
    #expect(!isAccepted(host: "localhost", origin: "http://\(host)"))
  }

  @Test(
    "pages of other sites, of files and of sandboxes are refused",
    arguments: [
      "null", "", "https://evil.example", "http://localhost.evil.example", "localhost",
      "file://", "chrome-extension://localhost", "http://localhost@evil.example",
      "http://localhost/x", "http://", "ftp://localhost", "http:/localhost",
      "http://" + String(repeating: "a", count: 1 << 20),
    ])
  func foreignOrigins(origin: String) {
    for method in ["GET", "POST", "OPTIONS", "DELETE"] {
      #expect(!isAccepted(host: "localhost", origin: origin, method: method))
    }
  }

  @Test("a client of HTTP/1.0 without a Host may read but not write")
  func noHost() {
    #expect(isAccepted(host: nil, method: "GET"))
    #expect(isAccepted(host: nil, method: "HEAD"))
    #expect(!isAccepted(host: nil, method: "POST"))
    #expect(!isAccepted(host: nil, method: "get"))
    #expect(!isAccepted(host: nil, origin: "https://evil.example", method: "GET"))
  }

  @Test("a refusal says what to do and repeats no text of the client")
  func sentences() throws {
    let host = try #require(
      guarded.refusal(host: "evil.example", origin: nil, method: "GET"))
    let origin = try #require(
      guarded.refusal(host: "localhost", origin: "https://evil.example", method: "GET"))
    let method = try #require(guarded.refusal(host: nil, origin: nil, method: "evil.example"))
    for failure in [host, origin, method] {
      #expect(failure.code == .permissionDenied)
      #expect(failure.message.contains("tutti keys create"))
      #expect(!failure.message.contains("evil"))
    }
  }

  @Test("random headers never trap, and only own names pass", arguments: 0..<20)
  func property(seed: UInt64) {
    var rng = SplitMix64(seed: seed)
    let parts = [
      "localhost", "127.0.0.1", "[::1]", ":", "8080", ".", "evil", "@", "/", "\u{0}", "é",
    ]
    for _ in 0..<500 {
      let count = Int.random(in: 0...5, using: &rng)
      let host = (0..<count).map { _ in parts.randomElement(using: &rng) ?? "" }.joined()
      if isAccepted(host: host) {
        #expect(!host.contains("evil") && !host.contains("@") && !host.contains("/"))
      }
    }
  }
}
