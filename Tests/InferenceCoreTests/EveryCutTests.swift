import AnswerTesting
import ClusterModel
import Testing

/// One after the other, and at a stride: this is work for the processor alone, and the suites beside it
/// have sockets and deadlines.
@Suite("An answer that is cut anywhere and goes on elsewhere", .serialized)
struct EveryCutTests {
  @Test("an oracle with other token borders makes it whole, byte for byte, cut at a stride")
  func oracle() throws {
    let count = try EveryCut(near: 97, far: 1_999).run(.oracle)
    print("oracle: \(count)")
    #expect(count.faults.isEmpty, "\(count.faults.prefix(20).joined(separator: "\n"))")
    #expect(count.identical == count.cuts && count.rejected == 0)
  }

  @Test(
    "a host with habits gives the same words, or is refused, in all but a few cuts",
    arguments: ResumingPersonality.allCases.filter {
      ![.oracle, .announces, .announcesAndRepeats].contains($0)
    })
  func habits(personality: ResumingPersonality) throws {
    for way in [ResumeWay.continueFinalMessage, .instruct] {
      let count = try EveryCut(way: way, near: 499, far: 3_989).run(personality)
      print("\(personality) \(way): \(count)")
      expectFewFaults(count)
    }
  }

  /// A host that was told to go on and talks instead cannot always be told from one that goes on:
  /// JSON whose strings repeat themselves, words without the space that was due. Wrong words are
  /// rare, and this is how rare at most: one cut in fifty.
  private func expectFewFaults(_ count: EveryCut.Count) {
    #expect(
      count.faults.count * 50 <= count.cuts,
      "\(count.faults.prefix(20).joined(separator: "\n"))")
  }

  @Test("a second cut changes nothing", arguments: [1, 9, 40, 200])
  func cascade(after bytes: Int) throws {
    let count = try EveryCut(near: 499, far: 3_989, second: bytes).run(.oracle)
    print("cascade \(bytes): \(count)")
    #expect(count.faults.isEmpty, "\(count.faults.prefix(20).joined(separator: "\n"))")
    #expect(count.identical == count.cuts)
  }

  @Test(
    "an announcement is dropped, with what is repeated behind it",
    arguments: [ResumingPersonality.announces, .announcesAndRepeats])
  func announcements(personality: ResumingPersonality) throws {
    let count = try EveryCut(near: 499, far: 3_989).run(personality)
    print("\(personality): \(count)")
    expectFewFaults(count)
  }
}
