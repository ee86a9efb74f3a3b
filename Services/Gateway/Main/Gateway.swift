import ServiceKit

@main
enum GatewayProcess {
  static func main() async {
    await ServiceMain.run(GatewayConfiguration.self, build: buildGateway)
  }
}
