import ArgumentParser
import ClusterModel
import CommandLineCore
import Files
import Foundation
import NIOHTTP1

struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show whether the cluster can answer, its services, hosts and models.",
    discussion: """
        tutti status
        tutti status --json | python3 -m json.tool
        tutti status --url https://tutti.example.com

      Exit status 69 if it cannot answer now. Services and hosts need the admin token; without it, \
      the command shows whether the cluster is ready, and its models.
      """)

  @OptionGroup var cluster: ClientOptions

  @Flag(help: "Print one JSON object.")
  var json = false

  struct Report: Encodable {
    struct Service: Encodable { let name: String, service: String }
    struct Host: Encodable {
      let id: String, url: String, dialect: String, state: String, reason: String, models: [String],
        tags: [String]
      let load: HostDetails.Load?

      init(_ host: HostDetails) {
        id = host.id
        url = host.url
        dialect = host.dialect ?? ""
        state = host.state
        reason = host.reason ?? ""
        models = host.models?.map(\.id) ?? []
        tags = host.tags ?? []
        load = host.load
      }
    }
    let gateway: String
    let registry: String
    let monitor: String
    let ready: Bool
    /// `nil` means not known, because the gateway did not accept the key or got none.
    let models: [String]?
    /// `nil` means not known, because the registry did not answer, or the admin token is not known
    /// or not the registry's.
    let services: [Service]?
    let hosts: [Host]?
    /// `nil` means not known, because the cluster was not found through its data directory, or
    /// because the file of crashes cannot be read.
    let crashes: [ChildCrashes]?
  }

  func run() async throws {
    let client = try await cluster.client()
    let (report, hosts) = try await report(client)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      Terminal.json(try encoder.encode(report))
    } else {
      show(report, hosts)
    }
    if !report.ready { Foundation.exit(ExitStatus.unavailable.rawValue) }
  }

  private func report(_ client: ClusterClient) async throws -> (Report, [HostDetails]?) {
    let ready = try await client.request(.GET, client.address.gateway + "/ready").status == 200
    let models = try await models(client)
    let inventory = try await inventory(client)
    let report = Report(
      gateway: client.address.gateway, registry: client.address.registry,
      monitor: client.address.monitor, ready: ready, models: models,
      services: inventory?.services.map { .init(name: $0.name, service: $0.service) },
      hosts: inventory?.hosts.map(Report.Host.init), crashes: crashes(client))
    return (report, inventory?.hosts)
  }

  /// Reads services and hosts from the registry. A failure is reported, and does not end the
  /// command, because the gateway may be ready.
  private func inventory(
    _ client: ClusterClient
  ) async throws -> (services: [ClusterClient.ServiceRow], hosts: [HostDetails])? {
    guard client.adminToken != nil else {
      Terminal.progress(
        "services and hosts need the admin token; set TUTTI_ADMIN_TOKEN, or name the cluster's "
          + "data directory with --data-dir")
      return nil
    }
    do {
      return (services: try await client.services(), hosts: try await client.hosts())
    } catch let failure as ProcessFailure {
      Terminal.progress("services and hosts are not known: \(failure.message)")
      return nil
    }
  }

  private func models(_ client: ClusterClient) async throws -> [String]? {
    struct Model: Decodable { let id: String }
    let url = client.address.gateway + "/v1/models"
    let answer = try await client.request(.GET, url, token: client.clientKey?.revealed)
    switch answer.status {
    case 200:
      return try answer.decoded(as: ClusterClient.Page<Model>.self, from: url).data.map(\.id)
    case 401, 403:
      // Services and hosts need only the admin token, so they are shown without a key.
      let failure = client.clientFailure(status: answer.status, body: answer.body, url: url)
      for line in failure.message.split(separator: "\n") { Terminal.progress(String(line)) }
      return nil
    default:
      throw client.clientFailure(status: answer.status, body: answer.body, url: url)
    }
  }

  private func crashes(_ client: ClusterClient) -> [ChildCrashes]? {
    guard let file = client.address.crashFile,
      let bytes = try? PrivateFile.read(file, atMost: 1 << 20)
    else { return nil }
    return try? JSONDecoder().decode([ChildCrashes].self, from: Data(bytes))
  }

  private func show(_ crashes: [ChildCrashes]) {
    guard !crashes.isEmpty else { return }
    var table = TextTable([
      ("crashed", .left), ("times", .right), ("last", .left), ("reason", .left),
      ("backtrace", .left),
    ])
    for crash in crashes {
      let time = Date(timeIntervalSince1970: Double(crash.lastUnixSeconds)).formatted(.iso8601)
      table.append([crash.name, "\(crash.count)", time, crash.reason, crash.report ?? "-"])
    }
    Terminal.line("")
    for line in table.lines { Terminal.line(line) }
  }

  private func show(_ report: Report, _ hosts: [HostDetails]?) {
    Terminal.line("gateway  \(report.gateway)/v1  \(report.ready ? "ready" : "not ready")")
    if let rows = report.services {
      var services = TextTable([("service", .left), ("peer", .left)])
      for service in rows { services.append([service.service, service.name]) }
      Terminal.line("")
      for line in services.lines { Terminal.line(line) }
    }
    if let hosts {
      Terminal.line("")
      for line in HostDetails.table(hosts).lines { Terminal.line(line) }
    }
    Terminal.line("")
    Terminal.line("models")
    for model in report.models ?? ["not known: the gateway requires a key"] {
      Terminal.line("  " + model)
    }
    show(report.crashes ?? [])
  }
}
