import ClusterModel
import RegistryCore
import Testing

@Suite("A host's address")
struct HostAddressTests {
  @Test(
    "has one spelling",
    arguments: [
      ("http://127.0.0.1:11434", "http://127.0.0.1:11434", "127.0.0.1:11434"),
      ("HTTP://LocalHost:8080/v1/", "http://localhost:8080", "localhost:8080"),
      ("https://api.example.com/v1", "https://api.example.com", "api.example.com"),
      ("https://api.example.com:443", "https://api.example.com", "api.example.com"),
      ("http://h:80//", "http://h", "h"),
      ("https://x.y/openai/v1", "https://x.y/openai", "x.y-openai"),
      ("http://[::1]:9/v1", "http://[::1]:9", "::1:9"),
    ])
  func normal(_ text: String, _ url: String, _ id: String) throws {
    let address = try HostAddress(text)
    #expect(address.url == url)
    #expect(address.defaultID.name == id)
    #expect(try HostAddress(address.url).url == url)
    try HostAddress.check(id: address.defaultID.name)
  }

  @Test(
    "an invalid address is refused",
    arguments: [
      "", "127.0.0.1:80", "ftp://h", "http://", "http://:80", "http://h:0", "http://h:65536",
      "http://h:+1", "http://h:8a", "http://user:pw@h", "http://h?x", "http://h#x", "http://h/../x",
      "http://h//x", "http://ä", "http://h h", "http://h\n", "http://[::1", "http://[x]:1",
      "http://-h", "http://" + String(repeating: "h", count: 300),
      "http://h/" + String(repeating: "p", count: 2_048),
    ])
  func refused(_ text: String) {
    #expect(throws: Failure.self) { try HostAddress(text) }
  }
}
