import GatewayService

@main
enum Gateway {
  static func main() async {
    await GatewayProcess.main()
  }
}
