import DispatcherService

@main
enum Dispatcher {
  static func main() async {
    await DispatcherProcess.main()
  }
}
