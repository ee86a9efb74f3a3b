import ClusterModel
import Testing

@testable import InferenceCore

@Suite("Detection of text that repeats itself")
struct RepetitionMeterTests {
  /// Bytes of the text after which the meter detects a repetition. `nil` means that it detects none.
  private func detection(_ text: String) -> Int? {
    var meter = RepetitionMeter()
    for (index, byte) in text.utf8.enumerated() where meter.take(CollectionOfOne(byte)) {
      return index + 1
    }
    return nil
  }

  @Test(
    "a phrase without end is detected soon after its limit, whatever text comes before it",
    arguments: [
      "🎉", "a", "ha ", "The answer is therefore forty-two. ", "| | |\n",
      (0..<24).map { "Line \($0).\n" }.joined(),
    ], ["", "Certainly! Here is the text that you asked for:\n\n"])
  func phrase(phrase: String, before: String) throws {
    let bytes = phrase.utf8.count
    try #require(bytes <= RepetitionMeter.longestPeriod)
    let text = before + String(repeating: phrase, count: 5_000 / bytes + 1)
    let place = try #require(detection(text))
    let limit = max(RepetitionMeter.leastBytes, RepetitionMeter.leastPeriods * bytes)
    #expect(place >= before.utf8.count + limit - bytes)
    #expect(place <= before.utf8.count + limit + 2 * RepetitionMeter.window)
  }

  @Test("a repetition that ends below the limit is none")
  func short() {
    let limit = RepetitionMeter.leastBytes
    #expect(detection(String(repeating: "-", count: limit - 1) + "\nNext section") == nil)
    #expect(detection(String(repeating: "ha ", count: limit / 3 - 1) + "said the clown.") == nil)
    let long = String(repeating: "x", count: RepetitionMeter.longestPeriod - 1) + "\n"
    #expect(detection(String(repeating: long, count: RepetitionMeter.leastPeriods - 1)) == nil)
  }

  @Test("lists, tables, code and encoded data whose lines differ are no repetition")
  func similarLines() {
    let lines = 0..<400
    let list = lines.map { "\($0 + 1). Item number \($0 + 1) of the list\n" }.joined()
    let table = lines.map { "| host-\($0) | ready | 0 | 0 | 0 |\n" }.joined()
    let code = lines.map { "    values[\($0)] = 0\n    names[\($0)] = nil\n" }.joined()
    var generator = SplitMix64(seed: 1)
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    let encoded = String((0..<20_000).compactMap { _ in alphabet.randomElement(using: &generator) })
    let json = lines.map { #"{"id":\#($0),"done":false,"tags":[]},"# }.joined()
    for text in [list, table, code, encoded, json] { #expect(detection(text) == nil) }
  }

  @Test("a phrase longer than the longest period is not detected")
  func longPhrase() {
    let long = (100..<160).map { "w\($0) " }.joined()
    #expect(long.utf8.count > RepetitionMeter.longestPeriod)
    #expect(detection(String(repeating: long, count: 40)) == nil)
  }

  @Test("chunks of any size give the same result")
  func chunks() throws {
    let text = Array(("Hello." + String(repeating: "one two ", count: 400)).utf8)
    let place = try #require(detection(String(decoding: text, as: UTF8.self)))
    for size in [1, 3, 64, 1_000] {
      var meter = RepetitionMeter()
      var taken = 0
      while taken < text.count, !meter.take(text[taken..<min(taken + size, text.count)]) {
        taken += size
      }
      #expect(taken < place && place <= taken + size)
    }
  }

  @Test("the work is linear in the bytes, also for periods that break off before their limit")
  func work() {
    let almost = String(repeating: "ab", count: RepetitionMeter.leastBytes / 2 - 8) + "!"
    let nested = String(repeating: "a", count: RepetitionMeter.window / 2 - 1) + "b"
    for text in [
      String(repeating: almost, count: 20), String(repeating: nested + "c", count: 80),
      String(repeating: "abcdefgh", count: 100) + String(repeating: "z", count: 700),
    ] {
      var meter = RepetitionMeter()
      _ = meter.take(text.utf8)
      #expect(meter.takeWork() <= RepetitionMeter.stepsPerByte * text.utf8.count)
      #expect(meter.takeWork() == 0)
    }
  }
}
