import AgentCode

@main
enum Code {
  static func main() async {
    await CodeAgentProcess.main()
  }
}
