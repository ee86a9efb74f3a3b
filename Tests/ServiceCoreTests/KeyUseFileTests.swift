import Access
import ClusterModel
import RegistryCore
import Testing

@Suite("The text of the registry's file with the day's use of keys")
struct KeyUseFileTests {
  private func row(
    _ process: PeerID, _ hours: [HourlyUse] = [HourlyUse(hour: 475_000, requests: 3, tokens: 120)]
  ) throws -> KeyUseBook.Row {
    KeyUseBook.Row(
      process: process, use: DayUse(key: try #require(KeyID("abcdefghijkl")), hours: hours))
  }

  private func slices(_ rows: [KeyUseBook.Row]) -> [[UInt8]] {
    var slices = KeyUseFile.Slices(rows)
    var all: [[UInt8]] = []
    while let slice = slices.take() { all.append(slice) }
    return all
  }

  @Test("each row is one line of text")
  func text() throws {
    let rows = try [
      row(
        PeerID(name: "gateway-1", incarnation: 17),
        [
          HourlyUse(hour: 475_000, requests: 3, tokens: 120),
          HourlyUse(hour: 475_001, requests: 1, tokens: 8),
        ])
    ]
    let text = """
      tutti key use 1
      abcdefghijkl 17 475000:3:120,475001:1:8 gateway-1

      """
    #expect(slices(rows) == [Array(text.utf8)])
    #expect(slices([]) == [Array("tutti key use 1\n".utf8)])
  }

  @Test("rows are read as they were written, and a name with a line feed is left out")
  func names() throws {
    let names = ["", " ", "gateway é 漢", "a b  c", "1:2:3,4", "%0A"]
    let rows = try names.map { try row(PeerID(name: $0, incarnation: .max)) }
    let empty = try row(PeerID(name: "idle", incarnation: 0), [])
    let hostile = try row(PeerID(name: "x\nabcdefghijkl 1 1:1:1 y", incarnation: 1))
    let text = slices(rows + [hostile, empty]).flatMap { $0 }
    #expect(KeyUseFile.rows(in: text) == rows + [empty])
  }

  @Test("the text of many rows comes in slices of bounded size")
  func manyRows() throws {
    let hours = (0..<25).map { (hour: Int64) in
      HourlyUse(hour: 475_000 + hour, requests: 1_000_000_000, tokens: 1_000_000_000_000)
    }
    let rows = try (0..<1_000 as Range<UInt64>).map { number in
      try row(PeerID(name: "gateway", incarnation: number), hours)
    }
    let pieces = slices(rows)
    #expect(pieces.count > 5 && pieces.allSatisfy { $0.count < 80_000 })
    #expect(KeyUseFile.rows(in: pieces.flatMap { $0 }) == rows)
  }

  @Test(
    "damaged text has no rows",
    arguments: [
      "", "{", "tutti key use 1", "tutti key use 2\n", "tutti key use 1\nno key 1 1:1:1 a\n",
      "tutti key use 1\nabcdefghijkl -1 1:1:1 a\n", "tutti key use 1\nabcdefghijkl 1 1:1 a\n",
      "tutti key use 1\nabcdefghijkl 1 1:1:x a\n", "tutti key use 1\nabcdefghijkl 1 1:1:1\n",
      "tutti key use 1\nabcdefghijkl 1 1:1:1 a\nabcdefgh",
      "tutti key use 1\nabcdefghijkl 1 99999999999999999999:1:1 a\n",
    ])
  func damaged(text: String) {
    #expect(KeyUseFile.rows(in: Array(text.utf8)) == nil)
  }

  @Test("counts that no key can have are bounded")
  func counts() throws {
    let text = "tutti key use 1\nabcdefghijkl 1 1:-5:\(Int64.max) a\n"
    let use = try #require(KeyUseFile.rows(in: Array(text.utf8))?.first?.use.hours.first)
    #expect(use.requests == 0 && use.tokens < .max)
  }
}
