import AgentCode
import AgentCoordinator
import AgentCreative
import AgentCritic
import AgentReasoning
import AgentResearch
import CommandLineService
import DispatcherService
import GatewayService
import MonitorService
import PlannerService
import RegistryService

/// The executables of a distribution. All of them are links to one file, which runs the program
/// that its link names, so the processes of a cluster share the pages of code.
package enum Program: String, CaseIterable, Sendable {
  case tutti
  case gateway = "tutti-gateway"
  case registry = "tutti-registry"
  case planner = "tutti-planner"
  case dispatcher = "tutti-dispatcher"
  case monitor = "tutti-monitor"
  case research = "tutti-agent-research"
  case reasoning = "tutti-agent-reasoning"
  case creative = "tutti-agent-creative"
  case code = "tutti-agent-code"
  case critic = "tutti-agent-critic"
  case coordinator = "tutti-agent-coordinator"

  /// The program of a path, by its last part. `nil` means that the path names no program.
  package init?(path: String) {
    guard let name = path.split(separator: "/").last else { return nil }
    self.init(rawValue: String(name))
  }

  /// Runs the program to its end, which usually ends the process.
  func main() async {
    switch self {
    case .tutti: await TuttiProcess.main()
    case .gateway: await GatewayProcess.main()
    case .registry: await RegistryProcess.main()
    case .planner: await PlannerProcess.main()
    case .dispatcher: await DispatcherProcess.main()
    case .monitor: await MonitorProcess.main()
    case .research: await ResearchAgentProcess.main()
    case .reasoning: await ReasoningAgentProcess.main()
    case .creative: await CreativeAgentProcess.main()
    case .code: await CodeAgentProcess.main()
    case .critic: await CriticAgentProcess.main()
    case .coordinator: await CoordinatorAgentProcess.main()
    }
  }
}
