import PlannerService

@main
enum Planner {
  static func main() async {
    await PlannerProcess.main()
  }
}
