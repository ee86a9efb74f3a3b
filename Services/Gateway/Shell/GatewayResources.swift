import BillingJournal
import Bus
import ClusterModel
import GatewayCore
import Inference
import InferenceCore
import Limits
import Overload
import ServiceKit
import Telemetry

/// Parts of the gateway that all requests share.
final class GatewayResources: Sendable {
  let configuration: GatewayConfiguration
  let context: ServiceContext
  let inference: InferenceClient
  let memory: MemoryBudget
  let heavyWork: HeavyWork
  let answers: InFlightAnswers
  let keyWatch: KeyWatch
  let models: CurrentModelChoices
  let estimates = EstimateLedger()
  let keys: KeyGate
  let keyUse: KeyUseReporter
  let spending: Spending
  let departures = DepartedPlans()
  let reports: SpendingReports

  /// - Parameter journal: the billing journal. `nil` means that open bills are lost if the process
  ///   is killed.
  init(
    _ configuration: GatewayConfiguration, _ context: ServiceContext, inference: InferenceClient,
    memory: MemoryBudget, heavyWork: HeavyWork, journal: BillingJournal.Opened? = nil
  ) {
    self.configuration = configuration
    self.context = context
    self.inference = inference
    self.memory = memory
    self.heavyWork = heavyWork
    models = CurrentModelChoices(context.settings, configured: configuration.models)
    let answers = InFlightAnswers()
    self.answers = answers
    keyWatch = KeyWatch(
      context.access, context.settings, answers: answers, configured: configuration.revokedStreams,
      logger: context.logger)
    spending = Spending(context.bus, journal: journal, logger: context.logger)
    reports = SpendingReports(context.bus, logger: context.logger)
    let keys = KeyGate { context.bus.peers.peers.count { $0.service == .gateway } }
    self.keys = keys
    keyUse = KeyUseReporter(context.bus, keys: keys, logger: context.logger)
    context.metrics.addCollector { keys.families }
  }

  /// Runs work on a large body in the queue for heavy work, so that it delays no other request.
  /// Work on a small body runs inline.
  ///
  /// - Parameter client: the client's tag.
  func heavily<Value: Sendable, Problem: Error>(
    _ bytes: Int, _ client: String, _ work: @escaping @Sendable () throws(Problem) -> Value
  ) async throws -> Value {
    guard bytes > Limits.heavyBytes.value else { return try work() }
    return try await heavyWork.run(for: ClientFingerprint(tag: client).value) {
      Result(catching: work)
    }.get()
  }
}
