import Testing

@testable import InferenceCore

@Suite("Tokens that are counted here")
struct TokenTallyTests {
  private func tally(_ chunks: [Int]) -> TokenTally {
    var tally = TokenTally()
    for bytes in chunks { tally.take(bytes: bytes) }
    return tally
  }

  @Test("a chunk is a token, also a long one now and then")
  func oneAChunk() {
    #expect(tally([4, 1, 20, 3, 5]).total == 5)
    #expect(tally([]).total == 0)
  }

  @Test("chunks that are too long for tokens are counted by their bytes")
  func severalAChunk() {
    #expect(tally([40, 36, 44]).total == 30)
  }

  @Test("the host's report counts, and then the text since the report")
  func reported() {
    var tally = tally([40, 40])
    tally.report(17)
    #expect(tally.total == 17)
    tally.take(bytes: 4)
    #expect(tally.total == 18)
    tally.take(bytes: 40)
    #expect(tally.total == 17 + 11)
  }

  @Test("the last chunks are so many tokens where each is one, else their share of the bytes")
  func withoutLast() {
    #expect(tally([9, 6, 3]).total(withoutBytes: 0, orLastChunks: 1, ofBytes: 3) == 2)
    #expect(tally([40, 40, 20]).total(withoutBytes: 0, orLastChunks: 1, ofBytes: 20) == 20)
    #expect(tally([5, 5, 5, 5]).total(withoutBytes: 10) == 2)
  }

  @Test("nothing dropped, nothing lost: the end mark's token stays")
  func whole() {
    var tally = tally([5, 5])
    tally.report(3)
    #expect(tally.total(withoutBytes: 0) == 3)
    var silent = TokenTally()
    silent.report(1)
    #expect(silent.total(withoutBytes: 0) == 1)
  }
}
