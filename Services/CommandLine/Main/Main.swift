import CommandLineService

@main
enum Main {
  static func main() async {
    await TuttiProcess.main()
  }
}
