import Testing
import Text

@Suite("Names of this machine")
struct LoopbackNameTests {
  @Test(
    "only spellings that cannot mean another machine count",
    arguments: [
      ("localhost", true), ("::1", true), ("127.0.0.1", true), ("127.255.0.9", true),
      ("127.evil.example", false), ("127.0.0.1.example", false), ("127.0.0", false),
      ("127.0.0.256", false), ("127.+0.0.1", false), ("127.0.0.-1", false), ("127..0.1", false),
      ("128.0.0.1", false), ("0.0.0.0", false), ("", false), ("localhost.evil", false),
    ])
  func names(name: String, isLoopback: Bool) {
    #expect(name.isLoopbackName == isLoopback)
    #expect(name[...].isLoopbackName == isLoopback)
  }
}
