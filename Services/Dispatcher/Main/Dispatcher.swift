import ServiceKit

@main
enum DispatcherProcess {
  static func main() async {
    await ServiceMain.run(DispatcherConfiguration.self, build: buildDispatcher)
  }
}
