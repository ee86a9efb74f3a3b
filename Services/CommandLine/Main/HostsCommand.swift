import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct HostsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hosts",
    abstract: "Add, list, suspend, resume and remove hosts.",
    discussion: """
        tutti hosts add http://127.0.0.1:11434 --id ollama
        tutti hosts list
        tutti hosts suspend ollama
        tutti hosts resume ollama
        tutti hosts remove ollama
      """,
    subcommands: [Add.self, List.self, Suspend.self, Resume.self, Remove.self])

  static func table(_ hosts: [StatusCommand.Report.Host]) -> TextTable {
    var table = TextTable([
      ("host", .left), ("url", .left), ("state", .left), ("models", .left), ("reason", .left),
    ])
    for host in hosts {
      table.append([
        host.id, host.url, host.state, host.models.joined(separator: ", "), host.reason,
      ])
    }
    return table
  }

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "add",
      abstract: "Add a host by its base URL.",
      discussion: """
          tutti hosts add http://127.0.0.1:11434
          tutti hosts add http://10.0.0.7:8000 --id gpu-1 --trust trusted
        """)

    @OptionGroup var cluster: ClusterOptions
    @Option(help: "The name it gets. Default: made from its URL.")
    var id: String?
    @Option(help: "Which requests may go there: any, trusted or local ones.")
    var trust: String?
    @Argument(help: "Base URL of an OpenAI-compatible server, without /v1.")
    var url: String

    func validate() throws {
      guard URL(string: url)?.host != nil, url.hasPrefix("http") else {
        throw ValidationError("“\(url)” is not like http://127.0.0.1:11434")
      }
      if let trust, DataPolicy(rawValue: trust) == nil {
        throw ValidationError("--trust: “\(trust)” is not any, trusted or local")
      }
    }

    func run() async throws {
      let host = try await cluster.client().addHost(
        url: url, id: id.map { HostID($0) }, trust: trust.flatMap(DataPolicy.init(rawValue:)))
      Terminal.line(TextTable.printable(host.id))
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show every host, its state and its models.")

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.")
    var json = false

    func run() async throws {
      let client = try cluster.client()
      if json {
        Terminal.line(String(decoding: try await client.hostsJSON(), as: UTF8.self))
        return
      }
      let hosts = try await client.hosts().map { host in
        StatusCommand.Report.Host(
          id: host.id, url: host.url, state: host.state, reason: host.reason ?? "",
          models: host.models?.map(\.id) ?? [])
      }
      for line in HostsCommand.table(hosts).lines { Terminal.line(line) }
      if hosts.isEmpty {
        Terminal.progress("no host is known; add one with `tutti hosts add URL`")
      }
    }
  }

  struct Suspend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "suspend", abstract: "Take a host out of service; it keeps its place.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "A host of `tutti hosts list`.") var id: String

    func run() async throws {
      try await cluster.client().setHost(HostID(id), suspended: true)
    }
  }

  struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "resume", abstract: "Put a suspended host back into service.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "A host of `tutti hosts list`.") var id: String

    func run() async throws {
      try await cluster.client().setHost(HostID(id), suspended: false)
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Forget a host.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "A host of `tutti hosts list`.") var id: String

    func run() async throws { try await cluster.client().removeHost(HostID(id)) }
  }
}
