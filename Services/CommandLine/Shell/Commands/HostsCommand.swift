import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct HostsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hosts",
    abstract: "Add, list, change, probe, drain, suspend, resume and remove hosts.",
    discussion: """
        tutti hosts add http://127.0.0.1:11434 --id ollama
        tutti hosts list
        tutti hosts set ollama --tag gpu
        tutti hosts probe ollama
        tutti hosts drain ollama --wait 60
        tutti hosts resume ollama
        tutti hosts remove ollama
      """,
    subcommands: [
      Add.self, List.self, Show.self, Set.self, Probe.self, Drain.self, Suspend.self, Resume.self,
      Remove.self,
    ])

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "add",
      abstract: "Add a host by its base URL.",
      discussion: """
          tutti hosts add http://127.0.0.1:11434
          tutti hosts add http://10.0.0.7:8000 --id gpu-1 --trust trusted --tag gpu
          tutti hosts add https://api.openai.com --credential env:TUTTI_CREDENTIAL_AI --price 1/4
          tutti hosts add http://10.0.0.8:8000 --alias fast --alias big=qwen3:32b
          tutti hosts add https://example.com/v1beta/openai --model big --model small

        The dialect (\(choices(of: HostDialect.self))) and the way in which the host resumes an \
        answer that another host began are detected from its answers; --dialect and --resume are \
        for hosts that hide their software, for example a proxy. The URL may end in /v1 or in \
        another path: the path of the API is detected, too. --model is for hosts that do not list \
        their models.

        The command waits for the first probe of the host. The exit status is 0 if the host is \
        ready, and 75 if it is added and not ready.

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
    @Option(
      name: .customLong("alias"),
      help: ArgumentHelp(
        "Another name for a model of the host: NAME=MODEL, or NAME for its only chat model. May be "
          + "repeated.", valueName: "name"))
    var aliases: [String] = []
    @OptionGroup var wait: HostWaitOptions
    @Argument(help: "Base URL of the server, with or without /v1.")
    var url: String

    func validate() throws {
      guard URL(string: url)?.host != nil, url.hasPrefix("http") else {
        throw ValidationError("“\(url)” is not a URL such as http://127.0.0.1:11434")
      }
    }

    func run() async throws {
      let body = try properties.options.body(url: url, id: id)
      let aliases = try aliases.map { try HostAlias($0) }
      let client = try cluster.client()
      let host = try await client.addHost(body, waiting: wait.duration)
      Terminal.line(host.id)
      var failures = HostsCommand.report(host, after: .added, wait)
      for alias in aliases {
        do {
          let model = try alias.model(of: host)
          try await client.addAlias(alias.name, for: model)
          Terminal.progress("alias \(alias.name) stands for \(model)")
        } catch let failure as ProcessFailure {
          failures.append(failure)
        }
      }
      try HostsCommand.fail(failures)
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
      try await cluster.client().suspendHost(HostID(id))
      Terminal.progress(
        "host \(id) is suspended and gets no new requests; `tutti hosts resume \(id)` puts it back "
          + "into service")
    }
  }

  struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "resume",
      abstract: "Put a suspended host back into service.",
      discussion: """
        The command waits for a probe of the host. The exit status is 0 if the host is ready, and \
        75 if it is resumed and not ready.
        """)
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var wait: HostWaitOptions
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws {
      let host = try await cluster.client().resumeHost(HostID(id), waiting: wait.duration)
      try HostsCommand.fail(HostsCommand.report(host, after: .resumed, wait))
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Remove a host.", aliases: ["rm"])
    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws {
      try await cluster.client().removeHost(HostID(id))
      Terminal.progress("host \(id) is removed")
    }
  }
}
