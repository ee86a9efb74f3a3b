import ClusterModel
import HostModel
import ServiceKit
import Testing

@testable import DispatcherService

@Suite("Settings of the dispatcher")
struct DispatcherConfigurationTests {
  @Test("the minimum versions of the shared section apply to the hosts that get tasks")
  func minimumVersions() {
    let file = """
      dispatcher:
        max_tasks: 8
      inference:
        race_width: 3
        minimum_versions: [vLLM=0.6.3]
      """
    let settings = ServiceSettings<DispatcherConfiguration>(
      arguments: ["--config", "c.yaml"], environment: ["HOME": "/home/me"], hostName: "box",
      readFile: { (_) throws(ProcessFailure) -> String in file })
    #expect(settings.mistakes.isEmpty, "\(settings.mistakes)")
    #expect(settings.own.maxTasks == 8)
    #expect(settings.own.rules == EligibilityRules(minimumVersions: ["vLLM": "0.6.3"]))
  }
}
