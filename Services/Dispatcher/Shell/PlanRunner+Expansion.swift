import Bus
import ClusterModel
import DispatcherCore
import Metrics
import ServiceKit

extension PlanRunner {
  /// Asks a planner for the tasks that follow from a task's output.
  func expand(_ request: ExpandRequest) async {
    let deadline = now.advanced(by: PlanRunLimits.standard.expansionWait)
    do throws(Failure) {
      let sub = try await ask(request, until: deadline)
      count("done")
      handle(.expanded(request.task, sub))
    } catch {
      count(error.code.rawValue)
      if !Task.isCancelled { handle(.expansionFailed(request.task, error)) }
    }
  }

  /// Planners are stateless, so another planner, or the same one restarted, returns the same
  /// sub-plan.
  private func ask(
    _ request: ExpandRequest, until deadline: Instant
  ) async throws(Failure) -> SubPlan {
    while true {
      let body: Body
      do throws(Failure) {
        body = try await shell.context.bus.call(
          .expandRequest(request), to: .service(.planner),
          deadline: max(.milliseconds(1), now.duration(to: deadline)), trace: trace)
      } catch {
        guard error.code.isLostPeer, now < deadline else { throw error }
        // The peer table needs a moment to drop the lost planner. Without the delay, this loop
        // would call it again immediately.
        try? await Task.sleep(for: PlanRunLimits.standard.lostDelay)
        try await shell.context.bus.waitForPeers(
          [.planner], deadline: max(.milliseconds(1), now.duration(to: deadline)))
        continue
      }
      guard case .subPlan(let sub) = body else {
        throw Failure(.internalError, "the planner's answer is not a sub-plan")
      }
      return sub
    }
  }

  private func count(_ outcome: String) {
    Counter(
      label: "tutti_dispatcher_expansions_total", dimensions: [("outcome", outcome)]
    ).increment()
  }
}
