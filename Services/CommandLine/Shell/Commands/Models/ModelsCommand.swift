import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct ModelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List models, and set aliases, approved hosts and other properties.",
    discussion: """
        tutti models list
        tutti models alias big qwen3:32b qwen3-32b-instruct
        tutti models rank best qwen3:32b qwen3:8b
        tutti models default --fast best --plans best
        tutti models set qwen3:0.6b --hide
        tutti models approve qwen3:32b gpu-1 gpu-2
        tutti models reset qwen3:32b

      Changes take effect at once, for every gateway and every host.
      """,
    subcommands: [
      List.self, Show.self, Alias.self, Rank.self, Default.self, Set.self, Approve.self, Reset.self,
    ])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show all models that hosts list or that have settings.")

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print one JSON object a line, one for each model.")
    var json = false

    func run() async throws {
      var models: [ModelRow] = []
      try await cluster.client().eachModelPage { page, answer in
        if json {
          try Terminal.jsonLines(ofList: answer.body)
        } else {
          models += page
        }
      }
      if json { return }
      for line in ModelRow.table(models).lines { Terminal.line(line) }
      if models.isEmpty {
        Terminal.progress("no host lists a model; `tutti hosts list` shows the hosts")
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Show one model, and each host that lists it.")

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var output: ModelOutput
    @Argument(help: "Name of a model in `tutti models list`.") var model: String

    func run() async throws { try output.show(await cluster.client().model(ModelID(model))) }
  }

  struct Alias: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "alias",
      abstract: "Let a name stand for models of hosts.",
      discussion: """
        A host that offers one of the models offers the alias, too, and answers under this name. \
        A host that offers several of them uses the first. Clients pay the price of the alias if \
        it has one, otherwise that of the dearest of the models; hosts earn the price of their \
        own model. All hosts of the alias are equal; `tutti models rank` prefers the hosts of the \
        first model.

          tutti models alias big qwen3:32b qwen3-32b-instruct
          tutti models set big --clear alias
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var output: ModelOutput
    @Argument(help: "The name that clients use.") var name: String
    @Argument(help: "Models of hosts, the preferred one first.") var models: [String]

    func run() async throws {
      try await ModelsCommand.alias(name, models, isRanked: false, cluster, output)
    }
  }

  struct Rank: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "rank",
      abstract: "Let a name stand for models of hosts, in an order that decides between hosts.",
      discussion: """
        As `tutti models alias`, but hosts of a later model get requests only if no host of an \
        earlier one has a free slot, or if these hosts fail. Hosts of different models never race \
        for one request.

          tutti models rank best qwen3:32b qwen3:8b
          tutti models set best --clear alias
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var output: ModelOutput
    @Argument(help: "The name that clients use.") var name: String
    @Argument(help: "Models of hosts, the best one first.") var models: [String]

    func run() async throws {
      try await ModelsCommand.alias(name, models, isRanked: true, cluster, output)
    }
  }

  struct Default: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "default",
      abstract: "Show or choose the models for requests that leave the model to Tutti.",
      discussion: """
        Without an option, shows the present choices. Each name is a model of a host or an alias; \
        any means every chat model. A key that does not allow the chosen model gets one of its own.

          tutti models default
          tutti models default --fast qwen3:8b --plans best
          tutti models default --requests tutti/auto
          tutti models default --fast any
        """)

    @OptionGroup var cluster: ClusterOptions
    @Option(
      help: ArgumentHelp(
        "The model that answers tutti/fast, and tutti/auto if it makes no plan.",
        valueName: "model"))
    var fast: String?
    @Option(
      help: ArgumentHelp(
        "The model from which plans choose, or an alias for several.", valueName: "model"))
    var plans: String?
    @Option(
      help: ArgumentHelp(
        "The model of requests that name none; it may also be tutti/fast or a pattern.",
        valueName: "model"))
    var requests: String?
    @Flag(help: "Print the registry's answer as it is: all settings.") var json = false

    func run() async throws {
      var options = ModelDefaults()
      options.fast = fast
      options.plans = plans
      options.requests = requests
      let body = try options.body()
      let client = try cluster.client()
      let answer: ClusterClient.Answer
      if let body {
        answer = try await client.changeSettings(body)
      } else {
        answer = try await client.settings()
      }
      if json {
        Terminal.json(answer.body)
        return
      }
      let page = try answer.decoded(
        as: ClusterClient.Page<SettingRow>.self, from: "the registry")
      for line in ModelDefaults.table(page.data).lines { Terminal.line(line) }
    }
  }

  private static func alias(
    _ name: String, _ models: [String], isRanked: Bool, _ cluster: ClusterOptions,
    _ output: ModelOutput
  ) async throws {
    var options = ModelOptions()
    options.standsFor = models
    options.isRanked = isRanked
    let body = try options.body()
    try output.show(await cluster.client().changeModel(ModelID(name), body))
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set",
      abstract: "Change a model's properties; the others stay.",
      discussion: """
        A repeated option replaces the whole list.

          tutti models set qwen3:0.6b --hide
          tutti models set qwen3:32b --context-tokens 32768 --pool gpu
          tutti models set my-vectors --kind embeddings
          tutti models set qwen3:32b --clear pool --clear context-tokens
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var output: ModelOutput
    @Flag(help: "Leave the model out of lists for clients; requests for it are answered.")
    var hide = false
    @Flag(help: "Show the model in lists for clients again.") var unhide = false
    @Option(
      help: ArgumentHelp(
        "Maximum tokens of prompt and completion, in place of what hosts report.", valueName: "n"))
    var contextTokens: Int?
    @Option(
      help: ArgumentHelp(
        "Purpose of the model: chat, embeddings or other. Default: follows from its name.",
        valueName: "kind"),
      completion: .list(ModelKind.allCases.map(\.rawValue)))
    var kind: String?
    @Option(
      name: .customLong("pool"),
      help: ArgumentHelp(
        "Tag of hosts that may serve the model. May be repeated.", valueName: "tag"))
    var pools: [String] = []
    @Option(
      name: .customLong("minimum-version"),
      help: ArgumentHelp(
        "Lowest version of a server that may serve the model, such as vLLM=0.6.3. May be "
          + "repeated.", valueName: "server=version"))
    var minimumVersions: [String] = []
    @Option(
      help: ArgumentHelp(
        "Remove a setting: \(settings). May be repeated.", valueName: "setting"),
      completion: .list(ModelOptions.Setting.allCases.map(\.rawValue)))
    var clear: [String] = []
    @Argument(help: "Name of the model.") var model: String

    private static let settings =
      ModelOptions.Setting.allCases.map(\.rawValue).joined(separator: ", ")

    func validate() throws {
      if hide, unhide { throw ValidationError("--hide contradicts --unhide") }
    }

    func run() async throws {
      var options = ModelOptions()
      options.isHidden = hide ? true : unhide ? false : nil
      options.contextTokens = contextTokens
      options.kind = kind
      options.hostPools = pools
      options.minimumVersions = minimumVersions
      options.cleared = clear
      let body = try options.body()
      try output.show(await cluster.client().changeModel(ModelID(model), body))
    }
  }

  struct Approve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "approve",
      abstract: "Let hosts serve a model, and no others.",
      discussion: """
        As soon as one host is approved, hosts that are not get no requests for the model. Hosts \
        that were approved before stay approved.

          tutti models approve qwen3:32b gpu-1 gpu-2
          tutti models approve qwen3:32b gpu-1 --only
          tutti models set qwen3:32b --clear host
        """)

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var output: ModelOutput
    @Flag(help: "Withdraw the approval of all other hosts.") var only = false
    @Argument(help: "Name of the model.") var model: String
    @Argument(help: "Ids of hosts in `tutti hosts list`.") var hosts: [String]

    func run() async throws {
      try output.show(
        await cluster.client().approve(
          hosts.map { HostID($0) }, for: ModelID(model), isOnly: only))
    }
  }

  struct Reset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "reset", abstract: "Remove all settings of a model; an alias ends.")

    @OptionGroup var cluster: ClusterOptions
    @Argument(help: "Name of the model.") var model: String

    func run() async throws { try await cluster.client().resetModel(ModelID(model)) }
  }
}

/// Options for the output of one model.
struct ModelOutput: ParsableArguments {
  @Flag(help: "Print the registry's answer as it is.") var json = false

  func show(_ answer: ClusterClient.Answer) throws {
    if json {
      Terminal.json(answer.body)
      return
    }
    let model = try answer.decoded(as: ModelRow.self, from: "the registry")
    for line in model.details { Terminal.line(line) }
  }
}
