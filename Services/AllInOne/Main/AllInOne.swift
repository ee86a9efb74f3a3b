import AllInOneService

@main
enum AllInOne {
  static func main() async {
    await AllInOneProcess.main()
  }
}
