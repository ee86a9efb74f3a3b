import ServiceKit

/// Knows who is on the bus and which hosts can answer, and tells everyone.
@main
enum RegistryProcess {
  static func main() async {
    await ServiceMain.run(RegistryConfiguration.self, build: buildRegistry)
  }
}
