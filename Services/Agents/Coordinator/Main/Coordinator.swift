import AgentCoordinator

@main
enum Coordinator {
  static func main() async {
    await CoordinatorAgentProcess.main()
  }
}
