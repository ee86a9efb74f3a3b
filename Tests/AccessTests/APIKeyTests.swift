import Access
import ClusterModel
import Testing

@Suite("Keys")
struct APIKeyTests {
  private static let text =
    "tutti-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8"

  @Test("the same 48 random bytes always make the same key")
  func generation() throws {
    let key = try #require(APIKey(random: 0..<48))
    #expect(key.revealed == Self.text)
    #expect(key.id.description == "aaaqeayeauda")
    #expect(APIKey(Self.text) == key)
  }

  @Test("a key is made of exactly 48 bytes")
  func randomCount() {
    #expect(APIKey(random: 0..<47) == nil)
    #expect(APIKey(random: 0..<49) == nil)
    #expect(APIKey(random: []) == nil)
  }

  @Test("every generated key is parsed back to itself", arguments: 0..<200)
  func roundTrip(seed: UInt64) throws {
    let key = try sampleKey(seed)
    #expect(key.revealed.utf8.count == 62)
    #expect(APIKey(key.revealed) == key)
    #expect(KeyID(key.id.description) == key.id)
  }

  @Test("a key with any byte changed is another key or none")
  func changedBytes() throws {
    let key = try sampleKey(1)
    var bytes = Array(key.revealed.utf8)
    var isDistinct = true
    for place in bytes.indices {
      let right = bytes[place]
      for byte in UInt8.min...UInt8.max where byte != right {
        bytes[place] = byte
        if let parsed = APIKey(bytes) {
          isDistinct = isDistinct && parsed != key && Array(parsed.revealed.utf8) == bytes
        }
      }
      bytes[place] = right
    }
    #expect(isDistinct)
  }

  @Test(
    "text of another form is refused",
    arguments: [
      "", "tutti-", "sk-1234567890", "tutti-aaaqeayeauda",
      "TUTTI-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8",
      "tutti-aaaqeayeaud1-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8",
      "tutti-aaaqeayeauda_EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8",
      "tutti-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8=",
      "tutti-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi",
      "tutti-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi9",
      "tutti-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtL\u{0}8",
      "tutti-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtL\r\n",
      "tutti-aaaqeayeauda-EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLé",
    ])
  func otherForms(text: String) {
    #expect(APIKey(text) == nil)
  }

  @Test("a key of 1 MB is refused after its first 129 bytes")
  func hugeKey() {
    let bytes = CountingBytes(count: 1 << 20)
    #expect(APIKey(bytes) == nil)
    #expect(bytes.reads == 0)
    #expect(APIKey(String(repeating: "a", count: 1 << 20)) == nil)
  }

  @Test("random bytes never trap")
  func randomBytes() {
    var rng = SplitMix64(seed: 7)
    for _ in 0..<2_000 {
      let count = Int.random(in: 0...140, using: &rng)
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &rng) }
      #expect(APIKey(bytes) == nil)
    }
  }

  @Test("no printed form of a key contains its secret")
  func printing() throws {
    let key = try #require(APIKey(Self.text))
    var dumped = ""
    dump(PresentedKey.key(key), to: &dumped)
    for printed in ["\(key)", String(reflecting: key), "\(PresentedKey.key(key))", dumped] {
      #expect(!printed.contains("EBES"))
    }
    #expect("\(key)" == "tutti-aaaqeayeauda-***")
  }

  @Test("no printed form of a pepper contains its bytes")
  func pepperPrinting() throws {
    let pepper = try samplePepper()
    var dumped = ""
    dump(try sampleTable([]), to: &dumped)
    #expect("\(pepper)" == "***")
    #expect(!dumped.contains("words"))
  }

  @Test("a hash is HMAC-SHA256 of the whole key, as other programs compute it")
  func hash() throws {
    let key = try #require(APIKey(Self.text))
    let encoded = try json(KeyHash(of: key, pepper: samplePepper()))
    #expect(
      encoded == "\"fa3a8d47a293db0a0bf11c3299cc48a920ec862720d916bd07f9cece20054573\"")
  }

  @Test("another key or another pepper gives another hash")
  func hashDependsOnBoth() throws {
    let (key, pepper) = (try sampleKey(1), try samplePepper())
    let other = try #require(KeyPepper(repeatElement(0, count: 32)))
    #expect(KeyHash(of: key, pepper: pepper) == KeyHash(of: key, pepper: pepper))
    #expect(KeyHash(of: key, pepper: pepper) != KeyHash(of: try sampleKey(2), pepper: pepper))
    #expect(KeyHash(of: key, pepper: pepper) != KeyHash(of: key, pepper: other))
  }

  @Test("a pepper has 32 bytes and is restored from them")
  func pepper() throws {
    #expect(KeyPepper(0..<31) == nil)
    #expect(KeyPepper(0..<33) == nil)
    #expect(KeyPepper(try samplePepper().revealed) == (try samplePepper()))
  }
}

/// A collection without a fast count, which records how many elements are read.
private final class CountingBytes: Collection {
  let startIndex = 0
  let endIndex: Int
  var reads = 0

  init(count: Int) { endIndex = count }

  func index(after index: Int) -> Int { index + 1 }

  subscript(_ index: Int) -> UInt8 {
    reads += 1
    return UInt8(ascii: "a")
  }
}
