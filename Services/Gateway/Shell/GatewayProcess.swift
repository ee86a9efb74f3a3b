import ServiceKit

/// The process of the gateway service.
package enum GatewayProcess {
  package static func main() async {
    await ServiceMain.run(GatewayConfiguration.self, build: buildGateway)
  }
}
