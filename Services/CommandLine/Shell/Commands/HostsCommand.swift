import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct HostsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hosts",
    abstract: "Add, list, change, drain, suspend, resume and remove hosts.",
    discussion: """
        tutti hosts add http://127.0.0.1:11434 --id ollama
        tutti hosts list
        tutti hosts set ollama --tag gpu
        tutti hosts drain ollama --wait 60
        tutti hosts resume ollama
        tutti hosts remove ollama
      """,
    subcommands: [
      Add.self, List.self, Show.self, Set.self, Drain.self, Suspend.self, Resume.self, Remove.self,
    ])

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "add",
      abstract: "Add a host by its base URL.",
      discussion: """
          tutti hosts add http://127.0.0.1:11434
          tutti hosts add http://10.0.0.7:8000 --id gpu-1 --trust trusted --tag gpu
          tutti hosts add https://api.openai.com --credential env:TUTTI_CREDENTIAL_AI --price 600
          tutti hosts add https://example.com/v1beta/openai --model big --model small

        The dialect (\(choices(of: HostDialect.self))) and the way in which the host resumes an \
        answer that another host began are detected from its answers; --dialect and --resume are \
        for hosts that hide their software, for example a proxy. The URL may end in /v1 or in \
        another path: the path of the API is detected, too. --model is for hosts that do not list \
        their models.

        A credential is given by reference, never by value: env:NAME is a variable in the \
        environment of the processes that send requests to the host (processes that `tutti up` \
        starts have its environment), whose name begins with TUTTI_CREDENTIAL_ (setting \
        cluster.credentials_prefix); file:/path is a file below credentials in the data directory \
        (setting cluster.credentials_dir), which is read again when it changes.
        """)

    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Id of the host. Default: made from its URL.")
    var id: String?
    @OptionGroup var properties: HostPropertyOptions
    @Argument(help: "Base URL of the server, with or without /v1.")
    var url: String

    func validate() throws {
      guard URL(string: url)?.host != nil, url.hasPrefix("http") else {
        throw ValidationError("“\(url)” is not a URL such as http://127.0.0.1:11434")
      }
    }

    func run() async throws {
      let body = try properties.options.body(url: url, id: id)
      let host = try await cluster.client().addHost(body)
      Terminal.line(host.id)
      if host.state != "ready" {
        let reason = host.reason.flatMap { $0.isEmpty ? nil : $0 } ?? "it was not probed yet"
        Terminal.progress(
          TextTable.printable("host \(host.id) is added and cannot answer yet: \(reason)"))
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show every host, its state and its models.",
      aliases: ["ls"])

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.")
    var json = false

    func run() async throws {
      let client = try cluster.client()
      if json {
        Terminal.json(try await client.hostsJSON())
        return
      }
      let hosts = try await client.hosts()
      for line in HostDetails.table(hosts).lines { Terminal.line(line) }
      if hosts.isEmpty {
        Terminal.progress("no host is known; add one with `tutti hosts add URL`")
      }
    }
  }

  struct Suspend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "suspend", abstract: "Take a host out of service; it stays in the list.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws {
      try await cluster.client().setHost(HostID(id), suspended: true)
    }
  }

  struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "resume", abstract: "Put a suspended host back into service.")
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws {
      try await cluster.client().setHost(HostID(id), suspended: false)
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Remove a host.", aliases: ["rm"])
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws { try await cluster.client().removeHost(HostID(id)) }
  }
}
