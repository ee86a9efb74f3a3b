import Access
import ArgumentParser
import ClusterModel
import CommandLineCore
import Files

/// Properties of a key, for `tutti keys create` and `tutti keys set`.
struct KeyPropertyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Account that the key belongs to: an organisation, or a team within it.",
      valueName: "organisation[/team]"))
  var account: String?

  @Option(
    name: .customLong("scope"),
    help: ArgumentHelp(
      "Part of the API that the key may use: \(list(AccessScope.self)). May be repeated.",
      valueName: "scope"))
  var scopes: [String] = []

  @Option(
    name: .customLong("model"),
    help: ArgumentHelp(
      "A model that the key may use. May be repeated.", valueName: "name"))
  var models: [String] = []

  @Option(
    name: .customLong("pattern"),
    help: ArgumentHelp(
      "A pattern that the key may use: \(list(PatternName.self)). May be repeated.",
      valueName: "pattern"),
    completion: .list(PatternName.allCases.map(\.rawValue)))
  var patterns: [String] = []

  @Option(
    name: .customLong("data-policy"),
    help: ArgumentHelp(
      "Minimum trust of the hosts that may receive the key's requests: "
        + "\(list(DataPolicy.self)). If repeated, the least strict one counts.",
      valueName: "policy"),
    completion: .list(DataPolicy.allCases.map(\.rawValue)))
  var dataPolicies: [String] = []

  @Option(
    name: .customLong("host-pool"),
    help: ArgumentHelp(
      "A tag of hosts that may serve the key's requests. May be repeated.", valueName: "tag"))
  var hostPools: [String] = []

  @Option(help: ArgumentHelp("Maximum requests in a minute.", valueName: "n"))
  var requestsPerMinute: Int?

  @Option(help: ArgumentHelp("Maximum tokens in a minute.", valueName: "n"))
  var tokensPerMinute: Int?

  @Option(help: ArgumentHelp("Maximum requests in a day.", valueName: "n"))
  var requestsPerDay: Int?

  @Option(help: ArgumentHelp("Maximum tokens in a day.", valueName: "n"))
  var tokensPerDay: Int?

  @Option(
    help: ArgumentHelp("Maximum requests at the same time.", valueName: "n"))
  var concurrent: Int?

  @Option(
    help: ArgumentHelp(
      "End of the key's validity: a duration from now (90m, 12h, 30d, 2w), a date in UTC "
        + "(2027-01-31 or 2027-01-31T12:00:00Z) or never.", valueName: "time"))
  var expires: String?

  var options: KeyOptions {
    var options = KeyOptions()
    options.account = account
    options.scopes = scopes
    options.models = models
    options.patterns = patterns
    options.dataPolicies = dataPolicies
    options.hostPools = hostPools
    options.requestsPerMinute = requestsPerMinute
    options.tokensPerMinute = tokensPerMinute
    options.requestsPerDay = requestsPerDay
    options.tokensPerDay = tokensPerDay
    options.concurrentRequests = concurrent
    options.expires = expires
    return options
  }

  private static func list<Choice: CaseIterable & RawRepresentable<String>>(
    _: Choice.Type
  ) -> String {
    Choice.allCases.map(\.rawValue).joined(separator: ", ")
  }
}

/// Options for the output of a new key.
struct NewKeyOptions: ParsableArguments {
  @Flag(help: "Print the registry's answer, which contains the key, as it is.")
  var json = false

  @Flag(help: "Also write the key to client-key in the data directory, with mode 0600.")
  var save = false

  /// Checks the data directory first, so that no key is created that cannot be saved.
  func prepare(_ cluster: ClusterOptions) throws {
    guard save else { return }
    do throws(FileRefused) {
      try PrivateDirectory.prepare(cluster.directory)
      try PrivateFile.check(file(cluster))
    } catch {
      throw ProcessFailure(.usage, "--save: \(error.message) No key was created.")
    }
  }

  /// Sends the request that makes a key. After a failure that does not show whether the key was
  /// made, a message asks the user to revoke a new key, because its secret is lost.
  ///
  /// - Parameter description: description of the new key, for that message.
  func made(
    _ description: String, _ send: () async throws -> ClusterClient.Answer
  ) async throws -> ClusterClient.Answer {
    do {
      return try await send()
    } catch let failure as ProcessFailure where [.unavailable, .tryLater].contains(failure.status) {
      Terminal.progress(
        "if `tutti keys list` shows a new key \(description), revoke it: its secret is lost")
      throw failure
    }
  }

  /// Prints the new key, and saves it with `--save`.
  func present(_ answer: ClusterClient.Answer, _ cluster: ClusterOptions) throws {
    let new = try answer.decoded(as: NewKey.self, from: "the registry")
    if json {
      Terminal.json(answer.body)
    } else {
      Terminal.line(new.key)
    }
    let record = new.record
    Terminal.progress(
      "key \(record.id) (\(record.name)) of account \(record.account); it is printed only this once"
    )
    if let replaced = record.replaces {
      Terminal.progress("it replaces key \(replaced), which stays valid for the grace period")
    }
    guard save else { return }
    do throws(FileRefused) {
      try PrivateFile.replace(file(cluster), with: Array((new.key + "\n").utf8))
    } catch {
      throw ProcessFailure(.failed, "the key is created, but it is not saved: \(error.message)")
    }
    Terminal.progress("saved in \(file(cluster))")
  }

  private func file(_ cluster: ClusterOptions) -> String {
    ClientKey.Source.savedFile(in: cluster.directory)
  }
}
