import Limits

/// A setting that admins can change while the cluster runs.
///
/// This is the only list of them: the settings of the services, the admin API, `--help` and the
/// manual read ranges, defaults and descriptions here.
public enum RuntimeSetting: String, CaseIterable, Sendable {
  case gatewayRequests = "gateway.max_requests"
  case gatewayRequestsPerClient = "gateway.requests_per_client"
  case gatewayRequestsPerLocalClient = "gateway.requests_per_local_client"
  case gatewayPlansPerClient = "gateway.plans_per_client"
  case gatewayPlansPerLocalClient = "gateway.plans_per_local_client"
  case gatewayDefaultModel = "gateway.default_model"
  case gatewayFastModel = "gateway.fast_model"
  case gatewayPlanModels = "gateway.plan_models"
  case dispatcherPlans = "dispatcher.max_plans"
  case dispatcherTasks = "dispatcher.max_tasks"
  case agentTasks = "agents.max_tasks"
  case inferenceRace = "inference.race"
  case inferenceRaceWidth = "inference.race_width"
  case inferenceFailures = "inference.max_failures"
  case inferenceRepetition = "inference.repetition"
  case revokedStreams = "access.revoked_streams"
  case modelApproval = "models.approval"

  /// The values that a setting may have.
  public enum Range: Hashable, Sendable {
    case integer(ClosedRange<Int>)
    case choice([String])
    /// A model, an alias or another name of at most `Limits.modelNameBytes`, without control
    /// characters.
    case name
  }

  /// The value of settings that name a model: any chat model.
  public static let anyModel = "any"

  /// The name of the setting in the admin API and in the configuration file.
  public var id: String { rawValue }

  public var range: Range { facts.range }

  /// The largest value. `nil` means that the value is no number.
  public var maximum: Int? {
    if case .integer(let range) = range { range.upperBound } else { nil }
  }

  /// The value that applies if neither an admin nor the configuration of a process sets one.
  public var standard: RuntimeValue { facts.standard }

  /// Effect of the setting, in words of `--help`.
  public var help: String { facts.help }

  private struct Facts {
    let range: Range
    let standard: RuntimeValue
    let help: String

    init(_ range: ClosedRange<Int>, _ standard: Int, _ help: String) {
      self.range = .integer(range)
      self.standard = .integer(standard)
      self.help = help
    }

    init(_ choices: [String], _ standard: String, _ help: String) {
      range = .choice(choices)
      self.standard = .choice(standard)
      self.help = help
    }

    init(name standard: String, _ help: String) {
      range = .name
      self.standard = .choice(standard)
      self.help = help
    }
  }

  private var facts: Facts {
    switch self {
    case .gatewayRequests:
      Facts(
        1...100_000, 512, "Maximum concurrent requests of a gateway; more get 503 with Retry-After."
      )
    case .gatewayRequestsPerClient:
      Facts(
        1...100_000, Limits.requestsPerClient.value,
        "Maximum concurrent requests from one address; more get 429 with Retry-After.")
    case .gatewayRequestsPerLocalClient:
      Facts(
        1...100_000, Limits.requestsPerLocalClient.value,
        "Maximum concurrent requests of all programs on the gateway's machine together.")
    case .gatewayPlansPerClient:
      Facts(
        1...100_000, Limits.plansPerClient.value,
        "Maximum concurrent plans from one address; more get 429 with Retry-After.")
    case .gatewayPlansPerLocalClient:
      Facts(
        1...100_000, Limits.plansPerLocalClient.value,
        "Maximum concurrent plans of all programs on the gateway's machine together.")
    case .gatewayDefaultModel:
      Facts(
        name: "tutti/fast",
        "The model of a request that names none: a model of a host, an alias, tutti/fast or a "
          + "pattern.")
    case .gatewayFastModel:
      Facts(
        name: RuntimeSetting.anyModel,
        "The model or alias that answers tutti/fast, and tutti/auto if it makes no plan. "
          + "\(RuntimeSetting.anyModel): each host's first chat model.")
    case .gatewayPlanModels:
      Facts(
        name: RuntimeSetting.anyModel,
        "The model, or the alias whose models, plans choose from if the request names none. "
          + "\(RuntimeSetting.anyModel): all chat models.")
    case .dispatcherPlans:
      Facts(
        1...65_536, 4_096,
        "Maximum plans of a dispatcher at once; each may hold a whole conversation. More are "
          + "refused.")
    case .dispatcherTasks:
      Facts(
        1...4_096, 64,
        "Maximum tasks per agent at once; further tasks wait, and clients take turns. Must not "
          + "exceed agents.max_tasks: agents refuse more.")
    case .agentTasks:
      Facts(
        1...4_096, 64,
        "Maximum tasks of an agent at once; more are refused and go to another agent of the role.")
    case .inferenceRace:
      Facts(
        RaceDefault.allCases.map(\.rawValue), RaceDefault.byPrice.rawValue,
        "Race of requests that choose none. dual: two hosts at once; hedged: a second one if the "
          + "first is later than usual; single: one host; by_price: dual if two hosts are free, "
          + "otherwise hedged.")
    case .inferenceRaceWidth:
      Facts(
        1...8, 2,
        "Maximum hosts that race for one request until one of them sends the first token.")
    case .inferenceFailures:
      Facts(
        1...32, 6,
        "Attempts that may fail before a request does, in the race and in mid-answer together.")
    case .inferenceRepetition:
      Facts(
        RepetitionWatch.allCases.map(\.rawValue), RepetitionWatch.tagged.rawValue,
        "Hosts whose answers end with finish_reason length if they repeat one phrase without end. "
          + "off: none; tagged: hosts with the tag \(RepetitionWatch.tag), which tutti up gives to "
          + "its own model servers; all: every host.")
    case .revokedStreams:
      Facts(
        RevokedStreams.allCases.map(\.rawValue), RevokedStreams.finish.rawValue,
        "Running answers of a key that is revoked or disabled, or expires. finish: they are "
          + "completed; end: they end with the error invalid_api_key, and the client pays for what "
          + "it has received.")
    case .modelApproval:
      Facts(
        ModelApproval.allCases.map(\.rawValue), ModelApproval.open.rawValue,
        "Models that hosts may serve. open: all that they list; required: only those whose record "
          + "approves the host.")
    }
  }
}

/// The value of a setting that can change at run time.
public enum RuntimeValue: Hashable, Sendable, CustomStringConvertible {
  case integer(Int)
  /// One of several words, or a name.
  case choice(String)

  public var description: String {
    switch self {
    case .integer(let number): "\(number)"
    case .choice(let choice): choice
    }
  }
}

extension RuntimeSetting {
  public func allows(_ value: RuntimeValue) -> Bool {
    switch (range, value) {
    case (.integer(let range), .integer(let number)): range.contains(number)
    case (.choice(let choices), .choice(let choice)): choices.contains(choice)
    case (.name, .choice(let name)): Self.isName(name)
    case (.integer, .choice), (.choice, .integer), (.name, .integer): false
    }
  }

  private static func isName(_ text: String) -> Bool {
    (1...Limits.modelNameBytes.value).contains(text.utf8.count)
      && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
  }

  /// Reads a value as people write it. `nil` means that the setting does not allow it.
  public func value(_ text: String) -> RuntimeValue? {
    let value: RuntimeValue? =
      switch range {
      case .integer: Int(text).map { .integer($0) }
      case .choice, .name: .choice(text)
      }
    return value.flatMap { allows($0) ? $0 : nil }
  }
}

extension RuntimeSetting.Range: CustomStringConvertible {
  /// The allowed values, in words that follow "must be" in an error.
  public var description: String {
    switch self {
    case .integer(let range):
      "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .choice(let choices): "one of " + choices.joined(separator: ", ")
    case .name:
      "a name of 1 to \(Limits.modelNameBytes.value) bytes without control characters"
    }
  }
}

/// Race mode of requests that do not choose one.
public enum RaceDefault: String, CaseIterable, Sendable {
  /// `dual` if a race of two costs nothing, otherwise `hedged`.
  case byPrice = "by_price"
  case dual, hedged, single

  /// The race mode. `nil` means that price decides.
  public var mode: RaceMode? {
    switch self {
    case .byPrice: nil
    case .dual: .dual
    case .hedged: .hedged
    case .single: .single
    }
  }
}

/// Hosts whose answers end if they repeat one phrase without end.
public enum RepetitionWatch: String, CaseIterable, Sendable {
  case off, tagged, all

  /// The tag of hosts that `tagged` includes.
  public static let tag = "embedded"

  public func includes(_ host: Host) -> Bool {
    switch self {
    case .off: false
    case .tagged: host.tags.contains(Self.tag)
    case .all: true
    }
  }
}

/// Treatment of running answers of a key that is no longer valid.
public enum RevokedStreams: String, CaseIterable, Sendable {
  case finish, end
}

/// Whether hosts may serve models that no admin has approved.
public enum ModelApproval: String, CaseIterable, Sendable {
  /// Hosts may serve all models that they list, except models whose record excludes the host.
  case open
  /// A host may serve a model only if the model's record names the host or one of its pools.
  case required
}
