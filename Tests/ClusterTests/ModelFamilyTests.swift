import ClusterModel
import ClusterTesting
import Testing

private enum Families {
  static let answer = "The tide follows the moon, and so does the mill, twice a day."

  /// A cluster with one host per family.
  static func cluster() async throws -> RunningCluster {
    var hosts: [FaultyHost] = []
    for family in FaultyHostFamily.allCases {
      hosts.append(
        try await FaultyHost.started(
          FaultyHostConfiguration(
            models: [family.rawValue], answer: .text(answer), dialect: .openai, family: family)))
    }
    return try await RunningCluster.start(.faulty(hosts))
  }
}

extension ProcessTests {
  @Suite(
    "Patterns with families of models that refuse what tasks add", .serialized,
    .cluster { try await Families.cluster() })
  struct ModelFamilyTests {
    @Test(
      "every pattern answers with every family", arguments: FaultyHostFamily.allCases,
      PatternTests.patterns)
    func answers(_ family: FaultyHostFamily, _ pattern: String) async throws {
      let cluster = try RunningCluster.current()
      for stream in [false, true] {
        let answer = try await PatternClient.ask(
          cluster, pattern, PatternTests.question, stream: stream,
          #"{"trace":true,"seed":5,"members":["\#(family.rawValue)","\#(family.rawValue)"]}"#)
        #expect(answer.status == 200 && answer.hasText, "\(answer)")
        let trace = try #require(answer.trace, "\(answer)")
        // The hosts always write the same text, which is not an analysis, so MAESTRO's analysis
        // task is degraded.
        #expect(
          trace.tasks.allSatisfy { ["done", "skipped", "degraded"].contains($0.status) },
          "\(answer)")
      }
    }

    @Test("a model by name is answered as it is asked, streamed and not")
    func direct() async throws {
      let cluster = try RunningCluster.current()
      for family in FaultyHostFamily.allCases {
        for stream in [false, true] where !stream || family != .strict {
          let answer = try await PatternClient.ask(
            cluster, family.rawValue, "Hello", stream: stream, "{}")
          #expect(answer.status == 200 && answer.text == Families.answer, "\(answer)")
        }
      }
    }
  }
}
