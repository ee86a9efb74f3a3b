import ServiceKit

/// The process of the planner service.
package enum PlannerProcess {
  package static func main() async {
    await ServiceMain.run(PlannerConfiguration.self, build: buildPlanner)
  }
}
