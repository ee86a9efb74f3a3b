import ServiceKit

/// Keeps the tables of processes and hosts, and publishes them to all processes.
package enum RegistryProcess {
  package static func main() async {
    await ServiceMain.run(RegistryConfiguration.self, build: buildRegistry)
  }
}
