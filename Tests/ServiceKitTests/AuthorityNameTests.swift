import Testing

@testable import ServiceKit

@Suite("The host of an authority")
struct AuthorityNameTests {
  private func name(_ text: String) -> AuthorityName? { AuthorityName(text[...]) }

  @Test(
    "port, case, brackets and a trailing dot do not change the name",
    arguments: [
      ("chat.example", "chat.example"), ("CHAT.Example:8080", "chat.example"),
      ("chat.example.", "chat.example"), ("chat.example.:80", "chat.example"),
      ("chat.example:", "chat.example"), ("a_b-c.example", "a_b-c.example"),
      ("127.0.0.1:65535", "127.0.0.1"), ("[::1]", "::1"), ("[FD00::5]:8080", "fd00::5"),
    ])
  func forms(text: String, host: String) throws {
    #expect(try #require(name(text)).matches(host))
  }

  @Test(
    "text of another form is no name",
    arguments: [
      "", ".", ":", ":80", "[", "]", "[]", "[]:80", "[::1", "::1", "::1]", "[::1]80", "[::1]:8x",
      "[::1]:123456", "[localhost]", "[127.0.0.1]", "[fe80::1%25lo]", "[[::1]]", "a:b", "a:1:2",
      "a:123456", "a:-1", "a:+1", "a b", " a", "a\t", "a/b", "a?b", "a#b", "a@localhost",
      "user:1@localhost", "localhost,evil.example", "localhost\u{0}", "localhost\u{0}.evil.example",
      "loca\u{212A}host", "ｌocalhost", "localhost\u{301}", "lo\u{FFFD}", "http://localhost", "*",
    ])
  func junk(text: String) {
    #expect(name(text) == nil)
  }

  @Test(
    "127.0.0.0/8, ::1 and names of localhost are loopback, and no other name is",
    arguments: [
      ("127.0.0.1", true), ("127.255.255.255:1", true), ("[::1]:8080", true),
      ("[0:0:0:0:0:0:0:1]", true), ("[::FFFF:127.0.0.1]", true), ("LocalHost.:1", true),
      ("a.b.localhost", true), ("127.0.0.1.", true),
      ("127.0.0.256", false), ("127.0.0", false), ("127.0.0.1.1", false), ("127..0.1", false),
      ("127.0.0.0001", false), ("127.0.0.1e", false), ("127.99999999999999999999.0.1", false),
      ("128.0.0.1", false), ("0.0.0.0", false), ("127.evil.example", false), ("127", false),
      ("notlocalhost", false), ("localhost..", false), ("localhost.evil", false),
      ("[::2]", false), ("[::ffff:10.0.0.1]", false), ("[::ffff:127.0.0]", false), ("[::]", false),
    ])
  func loopback(text: String, isLoopback: Bool) throws {
    #expect(try #require(name(text)).isLoopback == isLoopback)
  }

  @Test("an origin has a scheme and the host after it")
  func origins() throws {
    let page = try #require(AuthorityName(origin: "https://Chat.example:3000"))
    #expect(page == name("chat.example") && page != name("chat.example.org"))
    #expect(AuthorityName(origin: "tauri://localhost")?.isLoopback == true)
    for text in [
      "", "null", "localhost", "://localhost", "http:localhost", "http:/localhost", "http://",
      "http://localhost/", "http://a@localhost", "http://evil.example http://localhost",
      "http://evil.example, http://localhost",
    ] {
      #expect(AuthorityName(origin: text[...]) == nil, "\(text)")
    }
  }

  @Test("text of any length is read once and never traps")
  func long() {
    for unit in ["a", ".", ":", "[", "1.", "\u{301}", "é", "://"] {
      let text = String(repeating: unit, count: 40_000)
      for candidate in [text, "[" + text + "]", text + "localhost", "127.0.0.1" + text] {
        #expect(name(candidate)?.isLoopback != true || candidate.hasSuffix(".localhost"))
        #expect(
          AuthorityName(origin: ("http://" + candidate)[...])?.isLoopback != true
            || candidate.hasSuffix(".localhost"))
      }
    }
  }
}
