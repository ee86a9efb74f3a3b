import AgentCreative

@main
enum Creative {
  static func main() async {
    await CreativeAgentProcess.main()
  }
}
