import RegistryService

@main
enum Registry {
  static func main() async {
    await RegistryProcess.main()
  }
}
