import MonitorService

@main
enum Monitor {
  static func main() async {
    await MonitorProcess.main()
  }
}
