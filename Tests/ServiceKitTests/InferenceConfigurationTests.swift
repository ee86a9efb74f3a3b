import ClusterModel
import HostModel
import InferenceCore
import Testing

@testable import ServiceKit

/// The configuration of a service that uses inference, as its process declares it.
private struct Infers<Own: InferringService>: ServiceConfiguration {
  static var service: ServiceName { Own.name }
  static var summary: String { "infers in tests." }
  static var settings: [Setting] { InferenceConfiguration.settings }

  let inference: InferenceConfiguration

  init(_ values: inout SettingValues) { inference = InferenceConfiguration(&values) }
}

private protocol InferringService: Sendable { static var name: ServiceName { get } }
private enum Gateway: InferringService { static let name = ServiceName.gateway }
private enum Critic: InferringService { static let name = ServiceName.agent(.critic) }

private func settings<Own: InferringService>(
  _: Own.Type, _ file: String, _ environment: [String: String] = [:]
) -> ServiceSettings<Infers<Own>> {
  ServiceSettings(
    arguments: ["--config", "c.yaml"],
    environment: environment.merging(["HOME": "/home/me"]) { a, _ in a },
    hostName: "box", readFile: { (_) throws(ProcessFailure) -> String in file })
}

@Suite("The section `inference`")
struct InferenceConfigurationTests {
  private let file = """
    inference:
      race: hedged
      race_width: 3
      max_failures: 4
      minimum_versions: [vLLM=0.6.3, llama.cpp=b4000]
      load_weight: 0.5
      first_token_weight: 0.2
      staleness_weight: 0
      error_weight: 0.3
      bucket_width: 0.1
    """

  @Test("the gateway and an agent read the same file alike")
  func shared() {
    let gateway = settings(Gateway.self, file)
    let agent = settings(Critic.self, file)
    #expect(gateway.mistakes.isEmpty && agent.mistakes.isEmpty, "\(gateway.mistakes)")
    for inference in [gateway.own.inference, agent.own.inference] {
      #expect(inference.limits.race == .hedged)
      #expect(inference.limits.raceWidth == 3 && inference.limits.failures == 4)
      #expect(
        inference.rules
          == EligibilityRules(minimumVersions: ["vLLM": "0.6.3", "llama.cpp": "b4000"]))
      #expect(inference.score.weights.load == 0.5 && inference.score.weights.firstToken == 0.2)
      #expect(inference.score.weights.staleness == 0 && inference.score.weights.errors == 0.3)
      #expect(inference.score.bucketWidth == 0.1)
    }
  }

  @Test("settings that are not set have the library's defaults")
  func defaults() {
    let inference = settings(Gateway.self, "inference: {}\n").own.inference
    #expect(inference.limits == InferenceLimits())
    #expect(inference.score == .standard)
    #expect(inference.rules == EligibilityRules())
  }

  @Test("settings reach the statistics by which hosts are chosen")
  func statistics() {
    let inference = settings(Gateway.self, file).own.inference
    var statistics = inference.statistics(own: PeerID(name: "g", incarnation: 1), seed: 1)
    #expect(statistics.score == inference.score)
    let old = Host(
      id: "old", url: "http://old", state: .ready, models: [ModelOffer(id: "m")],
      version: "vLLM 0.6.2")
    statistics.adopt(HostTable(epoch: 1, revision: 1, hosts: [old]), now: .zero)
    let eligible = Eligibility(
      model: "m", constraints: InferenceConstraints(seed: 1), view: statistics.view(now: .zero))
    #expect(eligible.isEmpty)
    #expect(eligible.explanation(model: "m").contains("older than 0.6.3"))
  }

  @Test(
    "values out of range and versions of nothing are mistakes",
    arguments: [
      ("RACE", "triple"), ("RACE_WIDTH", "0"), ("RACE_WIDTH", "9"), ("MAX_FAILURES", "33"),
      ("BUCKET_WIDTH", "2"),
      ("LOAD_WEIGHT", "-1"), ("MINIMUM_VERSIONS", "vLLM"), ("MINIMUM_VERSIONS", "vLLM=new"),
      ("MINIMUM_VERSIONS", "vLLM=1,=2"),
    ])
  func mistakes(member: String, value: String) {
    let variable = "TUTTI_INFERENCE_\(member)"
    let all = settings(Critic.self, "", [variable: value])
    #expect(all.mistakes.count == 1)
    #expect(all.mistakes.first?.hasPrefix(variable) == true, "\(all.mistakes)")
  }

  @Test("a flag that is not meant for the command is not suggested")
  func suggestions() {
    let settings =
      InferenceConfiguration.settings
      + CommonConfiguration.settings(for: .gateway, environment: [:])
    func mistake(_ suggesting: Set<String>?) -> [String] {
      SettingsTable(settings, sections: [], suggesting: suggesting).resolve(
        arguments: ["--bogus"], environment: [:],
        readFile: { (_) throws(ProcessFailure) -> String in "" }
      ).mistakes
    }
    #expect(mistake(nil) == ["--bogus: there is no such flag; did you mean --bus?"])
    #expect(mistake(["--data-dir"]) == ["--bogus: there is no such flag"])
  }
}
