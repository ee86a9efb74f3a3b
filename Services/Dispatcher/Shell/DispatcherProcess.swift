import ServiceKit

/// The process of the dispatcher service.
package enum DispatcherProcess {
  package static func main() async {
    await ServiceMain.run(DispatcherConfiguration.self, build: buildDispatcher)
  }
}
