import ServiceKit

@main
enum PlannerProcess {
  static func main() async {
    await ServiceMain.run(PlannerConfiguration.self, build: buildPlanner)
  }
}
