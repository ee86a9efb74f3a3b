import ServiceKit

/// Keeps the tables of processes and hosts, and publishes them to all processes.
@main
enum RegistryProcess {
  static func main() async {
    await ServiceMain.run(RegistryConfiguration.self, build: buildRegistry)
  }
}
