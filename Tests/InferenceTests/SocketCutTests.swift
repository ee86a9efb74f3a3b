import AnswerTesting
import ClusterModel
import ClusterTesting
import Foundation
import InferenceCore
import Testing

/// Cuts answers over real sockets and readers. `EveryCutTests` makes more cuts without sockets.
@Suite("Cuts at sockets", .timeLimit(.minutes(5)))
struct SocketCutTests {
  /// Ways to resume, by host. Answers that no prefix can continue start over instead.
  static let ways: [[ResumeWay]] = [
    [.trailingAssistant, .continueFinalMessage], [.continueFinalMessage, .trailingAssistant],
    [.trailingAssistant, .instruct],
  ]

  /// Number of cuts per answer; `TUTTI_TEST_CUTS` overrides it.
  private static let cuts =
    ProcessInfo.processInfo.environment["TUTTI_TEST_CUTS"].flatMap { Int($0) } ?? 4

  /// Returns both ends of the answer, and other positions by seed.
  private func places(_ answer: CorpusAnswer, count: Int, seed: UInt64) -> [Int] {
    let bytes = answer.textBytes - answer.reasoning.utf8.count
    var rng = SplitMix64(seed: seed)
    return [0, bytes - 1] + (2..<max(count, 2)).map { _ in Int.random(in: 0..<bytes, using: &rng) }
  }

  private func judge(_ told: SocketHosts.Told, _ answer: CorpusAnswer, _ cut: String) {
    let got = told.received
    let common = zip(got.content, answer.content).prefix { $0 == $1 }.count
    #expect(
      told.failure == nil && got.isSame(as: EveryCut.Received(answer)),
      """
      \(cut): \(told.failure?.message ?? "…\(got.content.dropFirst(max(common - 20, 0)).prefix(60))")
      """)
    #expect(got.identities.count == 1 && got.roles == 1, "\(cut): \(got.identities)")
    #expect(got.ids.count == answer.calls.count, "\(cut): \(got.ids)")
    for (index, id) in got.ids {
      let known = (0...1).map { "host-\($0)-\(answer.calls[index].id)" }
      #expect(known.contains(id), "\(cut): \(id)")
    }
    #expect(told.hops >= 1, "\(cut): nothing broke")
  }

  @Test(
    "a connection that ends, an error, garbage: the other host's words make the same answer",
    arguments: Array(AnswerCorpus.answers.indices))
  func breaks(_ number: Int) async throws {
    let answer = AnswerCorpus.answers[number]
    let hosts = try await SocketHosts.knowing([answer], ways: Self.ways[number % Self.ways.count])
    let kinds: [FaultyHostFaults.Kind] = [.drop, .drop, .end, .error, .garbage]
    for (index, place) in places(answer, count: Self.cuts, seed: UInt64(number)).enumerated() {
      let kind = kinds[(index + number) % kinds.count]
      hosts.hosts[0].faults = FaultyHostFaults(kind: kind, atByte: place, remaining: 1)
      // Every third answer breaks again at the second host and returns to the first.
      let again = index % 3 == 2
      hosts.hosts[1].faults =
        again ? FaultyHostFaults(kind: .drop, atByte: place % 40, remaining: 1) : .none
      let told = await hosts.ask(
        SocketHosts.marker(answer), stream: (index + number) % 2 == 0, seed: UInt64(place))
      judge(
        told, answer,
        "\(answer.name), \(kind.rawValue) at \(place)\(again ? ", twice" : ""), "
          + "\((index + number) % 2 == 0 ? "stream" : "body")")
    }
    try await hosts.stop()
  }

  @Test(
    "a host that falls silent, or crawls, is given up, and the answer is the same",
    arguments: [FaultyHostFaults.Kind.stall, .crawl], [true, false])
  func silence(_ kind: FaultyHostFaults.Kind, _ stream: Bool) async throws {
    // The samples of both faults together have answers of every kind. All answers of a sample run
    // at the same time, because each waits for a deadline.
    let numbers = stride(from: kind == .stall ? 0 : 4, to: AnswerCorpus.answers.count, by: 8)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in numbers {
        let answer = AnswerCorpus.answers[number]
        let place = places(answer, count: 3, seed: UInt64(number))[2]
        group.addTask {
          let hosts = try await SocketHosts.knowing(
            [answer], ways: Self.ways[number % Self.ways.count])
          hosts.hosts[0].faults = FaultyHostFaults(
            kind: kind, atByte: place, crawlMilliseconds: 600_000, remaining: 1)
          // If the machine is too busy for the second host's deadline, the answer takes one more
          // hop but loses no byte.
          let told = await hosts.ask(
            SocketHosts.marker(answer), stream: stream, interToken: .milliseconds(1_500),
            seed: UInt64(place))
          judge(told, answer, "\(answer.name), \(kind.rawValue) at \(place)")
          try await hosts.stop()
        }
      }
      try await group.waitForAll()
    }
  }

  @Test("a host that continues slower than the required rate is given up")
  func slowness() async throws {
    let answer = AnswerCorpus.answers[0]
    let hosts = try await SocketHosts.knowing([answer])
    hosts.hosts[0].faults = FaultyHostFaults(
      kind: .crawl, atByte: 100, crawlMilliseconds: 500, remaining: 1)
    let told = await hosts.ask(SocketHosts.marker(answer), rate: 20, seed: 1)
    judge(told, answer, "crawl at 100")
    #expect(told.summary?.attempts.first?.failure?.kind == .crawl)
    await hosts.hosts[0].waitForCancels(1)
    try await hosts.stop()
  }
}
