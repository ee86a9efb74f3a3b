import Access
import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct KeysCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys",
    abstract: "Create, list, change, rotate and revoke API keys.",
    discussion: """
        tutti keys create laptop --save
        tutti keys create ci --account acme/web --tokens-per-day 100000 --expires 30d
        tutti keys list
        tutti keys set ID --requests-per-minute 60
        tutti keys rotate ID
        tutti keys revoke ID

      Until the first key is created, requests from this machine need none. From then on every \
      request needs one, also after the last key was revoked.
      """,
    subcommands: [
      Create.self, List.self, Show.self, Set.self, Rotate.self, Disable.self, Enable.self,
      Revoke.self,
    ])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create",
      abstract: "Create a key and print it, once, on standard output.",
      discussion: """
        Only a hash of the key is stored: nothing can print the key again. Without options, the \
        key belongs to the account default, may use chat, embeddings and plans with every model, \
        has no limits and does not expire.

          tutti keys create laptop --save
          tutti keys create admin --scope chat --scope plans --scope logs --scope metrics --save
          tutti keys create prometheus --scope metrics
          tutti keys create ci --account acme/web --tokens-per-day 100000 --expires 30d
          tutti keys create demo --model qwen3 --pattern tutti/debate --concurrent 2
          KEY=$(tutti keys create script)      # the shell's history has no secret

        With --save, tutti ask, plan, status, logs, trace and usage use the key if TUTTI_API_KEY is \
        not set and --key-file is not given. tutti logs needs a key with the scope logs.
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var properties: KeyPropertyOptions
    @OptionGroup var output: NewKeyOptions
    @Argument(help: "Name of the key for people, for example its user or program.")
    var name: String

    func run() async throws {
      var options = properties.options
      options.name = name
      let body = try options.body(now: WallClock.milliseconds)
      try output.prepare(cluster)
      let client = try cluster.client()
      let isFirst = try await client.isOpen()
      let answer = try await output.made(name) { try await client.createKey(body) }
      try output.present(answer, cluster)
      if isFirst == true {
        Terminal.progress("this is the first key: from now on, every request needs a key")
      }
      try await KeysCommand.noteMissing(properties.account, client)
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show keys, without their secrets.",
      discussion: """
        The state active includes keys that have expired or were replaced.

          tutti keys list
          tutti keys list --account acme --state active
        """)

    @OptionGroup var cluster: ClusterOptions
    @Option(
      help: ArgumentHelp(
        "Only keys of this organisation and its teams, or of this team.",
        valueName: "organisation[/team]"))
    var account: String?
    @Option(
      help:
        "Only keys in this state: \(KeyState.allCases.map(\.rawValue).joined(separator: ", ")).",
      completion: .list(KeyState.allCases.map(\.rawValue)))
    var state: String?
    @Flag(help: "Print one JSON object a line, one for each key.")
    var json = false

    func run() async throws {
      let filter = try KeyListFilter(account: account, state: state)
      var keys: [KeyRow] = []
      try await cluster.client().eachKeyPage(filter) { page, answer in
        if json {
          try Terminal.jsonLines(ofList: answer.body)
        } else {
          keys += page
        }
      }
      if json { return }
      for line in KeyRow.table(keys, now: WallClock.milliseconds).lines { Terminal.line(line) }
      if keys.isEmpty {
        Terminal.progress(
          filter.query.isEmpty
            ? "there is no key; make one with `tutti keys create NAME`" : "there is no such key")
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Show one key, without its secret.")

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Id of a key in `tutti keys list`.") var id: String

    func run() async throws {
      let id = try KeyReference.id(id)
      try KeysCommand.show(try await cluster.client().key(id), json: json)
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set",
      abstract: "Change a key's properties; the others stay.",
      discussion: """
        A repeated option replaces the whole list. Changes take effect at once.

          tutti keys set ID --tokens-per-day 200000
          tutti keys set ID --scope chat --scope plans
          tutti keys set ID --clear model --clear tokens-per-day
          tutti keys set ID --expires never
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var properties: KeyPropertyOptions
    @Option(help: "New name of the key.") var name: String?
    @Option(
      help: ArgumentHelp(
        "Remove a restriction: \(restrictions). May be repeated.", valueName: "restriction"),
      completion: .list(KeyOptions.Restriction.allCases.map(\.rawValue)))
    var clear: [String] = []
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Id of a key in `tutti keys list`.") var id: String

    private static let restrictions =
      KeyOptions.Restriction.allCases.map(\.rawValue).joined(separator: ", ")

    func run() async throws {
      let id = try KeyReference.id(id)
      var options = properties.options
      options.name = name
      options.cleared = clear
      let body = try options.body(now: WallClock.milliseconds)
      let client = try cluster.client()
      try KeysCommand.show(try await client.changeKey(id, body), json: json)
      try await KeysCommand.noteMissing(properties.account, client)
    }
  }

  struct Rotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "rotate",
      abstract: "Replace a key by a new one with the same properties, and print it once.",
      discussion: """
        The old key stays valid for a grace period, in which its users change to the new one.

        The new key begins with unused limits and budgets, and the old one keeps its own until its \
        end. Budgets of the team and the organisation count both keys.

          tutti keys rotate ID
          tutti keys rotate ID --grace 1h --save
          tutti keys rotate ID --grace 0       # the secret is known to others
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var output: NewKeyOptions
    @Option(help: "How long the old key stays valid: 0, 90m, 12h, 30d, 2w. Default: 24h.")
    var grace: String?
    @Argument(help: "Id of a key in `tutti keys list`.") var id: String

    func run() async throws {
      let id = try KeyReference.id(id)
      let grace = try grace.map { try KeyTime.grace($0) }
      try output.prepare(cluster)
      let client = try cluster.client()
      let answer = try await output.made("that replaces \(id)") {
        try await client.rotateKey(id, grace: grace)
      }
      try output.present(answer, cluster)
    }
  }

  struct Disable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "disable", abstract: "Refuse a key's requests until it is enabled.")
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer, which has the changed key.") var json = false
    @Argument(help: "Id of a key in `tutti keys list`.") var id: String

    func run() async throws {
      let answer = try await cluster.client().setKey(try KeyReference.id(id), enabled: false)
      if json { Terminal.json(answer.body) }
    }
  }

  struct Enable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "enable", abstract: "Accept a disabled key's requests again.")
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer, which has the changed key.") var json = false
    @Argument(help: "Id of a key in `tutti keys list`.") var id: String

    func run() async throws {
      let answer = try await cluster.client().setKey(try KeyReference.id(id), enabled: true)
      if json { Terminal.json(answer.body) }
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "revoke",
      abstract: "Refuse a key's requests from now on; this is final.",
      discussion: """
        The key stays in the list as revoked. `tutti keys disable` is for a pause, `tutti keys \
        rotate` for a new secret.

          tutti keys revoke ID
          tutti keys revoke ID --yes           # in a script
        """)
    @OptionGroup var cluster: ClusterOptions
    @Flag(name: [.customShort("y"), .long], help: "Do not ask for confirmation.")
    var yes = false
    @Flag(help: "Print the registry's answer, which has the changed key.") var json = false
    @Argument(help: "Id of a key in `tutti keys list`.") var id: String

    func run() async throws {
      let id = try KeyReference.id(id)
      let client = try cluster.client()
      if !yes {
        let key = try await client.key(id).decoded(as: KeyRow.self, from: client.address.registry)
        try Terminal.confirm(
          "Revoke key \(id) (\(key.name), account \(key.account))? It cannot be used again.")
      }
      let answer = try await client.revokeKey(id)
      if json { Terminal.json(answer.body) }
    }
  }

  /// Warns of an account that does not exist.
  private static func noteMissing(_ account: String?, _ client: ClusterClient) async throws {
    guard let account = account.flatMap({ AccountPath($0) }),
      let missing = try await client.missing(account)
    else { return }
    Terminal.progress(
      missing.consequence
        + "; make it with `tutti organisations create` or `tutti teams create`")
  }

  /// Prints one key.
  private static func show(_ answer: ClusterClient.Answer, json: Bool) throws {
    if json {
      Terminal.json(answer.body)
      return
    }
    let key = try answer.decoded(as: KeyRow.self, from: "the registry")
    for line in key.details(now: WallClock.milliseconds) { Terminal.line(line) }
  }
}
