import AnswerTesting
import ClusterModel
import Testing

/// Cuts the corpus at a stride, with other hosts resuming. `InferenceBenchmark cuts` makes every
/// cut.
///
/// The suite keeps a processor busy while other suites wait for sockets and deadlines. So it is
/// serialized and makes only a sample of the cuts. The strides are primes, and each answer,
/// personality and way to resume has its own offset. Together they cover many more positions than
/// one of them alone.
@Suite("An answer that is cut anywhere and goes on elsewhere", .serialized)
struct EveryCutTests {
  @Test("an oracle with other token borders makes it whole, byte for byte")
  func oracle() throws {
    let count = try EveryCut(near: 61, far: 1_999).run(.oracle)
    expectNoFaults(count)
    #expect(count.identical == count.cuts && count.rejected == 0)
  }

  @Test(
    "an oracle makes a text whole that repeats itself at the cut",
    arguments: zip([ResumeWay.continueFinalMessage, .trailingAssistant], [0, 5]))
  func oracleOfRepetitions(way: ResumeWay, phase: Int) throws {
    let count = try EveryCut(way: way, near: 11, phase: phase)
      .run(.oracle, over: AnswerCorpus.repetitive)
    expectNoFaults(count)
    #expect(count.identical == count.cuts && count.rejected == 0)
  }

  @Test(
    "a host with habits gives the same words, or is refused, seldom",
    arguments: zip([ResumeWay.continueFinalMessage, .instruct], [0, 101]))
  func habits(way: ResumeWay, phase: Int) throws {
    let counts = try EveryCut(way: way, near: 211, far: 1_999, phase: phase)
      .run(ResumingPersonality.allCases)
    for (personality, count) in counts {
      expectNoFaults(count)
      // Over all cuts, at most 1 in 40 is rejected; this sample may have more.
      #expect(
        count.rejected * 20 <= count.cuts,
        "\(personality): \(count.rejections.joined(separator: "\n"))")
    }
    #expect(counts.count == ResumingPersonality.allCases.count)
  }

  @Test(
    "a text with repetitions has the right number of them",
    arguments: zip([ResumeWay.continueFinalMessage, .instruct], [0, 17]))
  func repetitions(way: ResumeWay, phase: Int) throws {
    let counts = try EveryCut(way: way, near: 37, phase: phase)
      .run(ResumingPersonality.allCases, over: AnswerCorpus.repetitive)
    for (personality, count) in counts {
      expectNoFaults(count)
      #expect(count.ambiguous == 0 || way != .instruct && personality != .oracle)
    }
    #expect(counts.count == ResumingPersonality.allCases.count)
  }

  @Test("a second cut changes nothing", arguments: [1, 9, 40, 200])
  func cascade(after bytes: Int) throws {
    let count = try EveryCut(near: 499, far: 3_989, phase: bytes, second: bytes).run(.oracle)
    expectNoFaults(count)
    #expect(count.identical == count.cuts)
  }

  private func expectNoFaults(_ count: EveryCut.Count) {
    #expect(count.cuts > 0)
    #expect(count.faults.isEmpty, "\(count.faults.prefix(20).joined(separator: "\n"))")
  }
}
