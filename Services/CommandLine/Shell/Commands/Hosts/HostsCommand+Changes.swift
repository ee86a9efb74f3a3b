import ArgumentParser
import ClusterModel
import CommandLineCore

extension HostsCommand {
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Show one host with all its properties.")

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws {
      try HostsCommand.show(try await cluster.client().host(HostID(id)), json: json)
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set",
      abstract: "Change a host's properties; the others stay.",
      discussion: """
        A repeated option replaces the whole list. Changes hold for new requests at once.

          tutti hosts set gpu-1 --tag gpu --tag eu --region fra-1
          tutti hosts set gpu-1 --price 0.15/0.6 --trust trusted
          tutti hosts set gpu-1 --clear tag --clear price
          tutti hosts set gpu-1 --dialect auto
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var properties: HostPropertyOptions
    @Option(
      help: ArgumentHelp(
        "Remove a property: \(choices(of: HostOptions.Property.self)). May be repeated.",
        valueName: "property"),
      completion: .list(HostOptions.Property.allCases.map(\.rawValue)))
    var clear: [String] = []
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws {
      var options = properties.options
      options.cleared = clear
      let body = try options.changes()
      try HostsCommand.show(try await cluster.client().changeHost(HostID(id), body), json: json)
    }
  }

  struct Probe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "probe",
      abstract: "Probe a host now, and wait for the result.",
      discussion: """
        A ready host is probed every 2 s, and a host that does not answer after 1 s, later every \
        10 s. The exit status is 0 if the host is ready, and 75 if it is not.
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var wait: HostWaitOptions
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func run() async throws {
      let host = try await cluster.client().probeHost(HostID(id), waiting: wait.duration)
      try HostsCommand.fail(HostsCommand.report(host, after: .probed, wait))
    }
  }

  struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "drain",
      abstract: "Take a host out of service and let its running requests finish.",
      discussion: """
        The host gets no new requests until `tutti hosts resume`.

          tutti hosts drain gpu-1 --wait 300 && ssh gpu-1 reboot

        With --wait, the exit status is 75 if requests still run when the time ends.
        """)

    @OptionGroup var cluster: ClusterOptions
    @Option(
      help: ArgumentHelp(
        "Wait until no request runs at the host, at most this long. Default: 0.",
        valueName: "seconds"))
    var wait = 0
    @Argument(help: "Id of a host in `tutti hosts list`.") var id: String

    func validate() throws {
      guard (0...86_400).contains(wait) else {
        throw ValidationError("--wait: \(wait) is not a number of seconds from 0 to 86400")
      }
    }

    func run() async throws {
      let host = try await cluster.client().drainHost(HostID(id), waiting: .seconds(wait))
      let running = counted(host.inFlight, "request")
      guard host.inFlight > 0 else {
        Terminal.progress(TextTable.printable("host \(id) gets no requests, and none runs there"))
        return
      }
      guard wait > 0 else {
        Terminal.progress(
          TextTable.printable(
            "host \(id) gets no new requests; running there: \(running). `tutti hosts drain \(id) "
              + "--wait 60` waits for the end"))
        return
      }
      throw ProcessFailure(
        .tryLater,
        TextTable.printable(
          "host \(id) gets no new requests, but after \(wait) s this still runs there: \(running)"))
    }
  }

  /// Prints the notes about a host.
  /// - Returns: why the host is not ready. The list is empty if it is, or if the command did not
  ///   wait.
  static func report(
    _ host: HostDetails, after action: HostOutcome.Action, _ wait: HostWaitOptions
  ) -> [ProcessFailure] {
    let outcome = HostOutcome(of: host, after: action, waited: wait.duration > .zero)
    for note in outcome.notes { Terminal.progress(note) }
    return outcome.failure.map { [$0] } ?? []
  }

  /// Throws all failures as one, with the status of the first one.
  static func fail(_ failures: [ProcessFailure]) throws(ProcessFailure) {
    guard let first = failures.first else { return }
    throw ProcessFailure(
      first.status,
      failures.map { TextTable.printable($0.message) }.joined(separator: "\n"))
  }

  /// Prints one host.
  private static func show(_ answer: ClusterClient.Answer, json: Bool) throws {
    if json {
      Terminal.json(answer.body)
      return
    }
    let host = try answer.decoded(as: HostDetails.self, from: "the registry")
    for line in host.lines { Terminal.line(line) }
  }
}
