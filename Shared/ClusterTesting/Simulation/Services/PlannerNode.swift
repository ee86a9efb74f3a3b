import BusCore
import ClusterModel
import PlannerCore
import Wire

/// The planner: pure functions that answer immediately.
final class PlannerNode: SimulatedService {
  private let process: SimulatedProcess

  init(_ process: SimulatedProcess) { self.process = process }

  func call(_ key: RequestKey, _ request: BusRequest) {
    switch request.body {
    case .planRequest(let wanted):
      let name = request.trace.map { "plan-\($0.trace)" } ?? "plan"
      do throws(Failure) {
        process.reply(key, .success(.plan(try makePlan(wanted, id: PlanID(name)))))
      } catch {
        process.reply(key, .failure(error))
      }
    case .expandRequest(let wanted): process.reply(key, .success(.subPlan(expandPlan(wanted))))
    default: process.reply(key, .failure(Failure(.unhandled, "the planner does not answer this")))
    }
  }
}
