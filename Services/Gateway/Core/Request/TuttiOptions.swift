public import ClusterModel
import Limits
import Text

/// The member `tutti` of a request: options for how the cluster answers it.
public struct TuttiOptions: Hashable, Sendable {
  /// Number of members of the pattern. A request may name the members' models instead (`models`).
  var members: Int?
  public var models: [ModelID] = []
  public var rounds: Int?
  public var quorum: Int?
  public var budgetTokens: Int?
  public var budgetCredits: Int?
  /// The data policy that the request states. `nil` means that it states none.
  private var statedPolicy: DataPolicy?
  /// The data policy of a request that states none: the least strict one that its key permits.
  var defaultPolicy = DataPolicy.any
  public var race: RaceMode?
  public var firstToken: Duration?
  public var interToken: Duration?
  public var total: Duration?
  public var documents: [Document] = []
  public var seed: UInt64?
  public var trace = false
  /// Whether the trace includes the outputs of tasks.
  public var tracesOutputs = false

  /// Minimum trust of the hosts that may receive the request.
  public var dataPolicy: DataPolicy { statedPolicy ?? defaultPolicy }

  static let maximumDocumentBytes = 10_000_000

  public init() {}

  /// The gateway's deadlines, lowered to the client's deadlines. A client cannot raise them,
  /// because a request may hold its place and a host's slot until the deadline.
  public func deadlines(over standard: Deadlines) -> Deadlines {
    func lower(_ own: Duration?, _ limit: Duration?) -> Duration? {
      guard let own, let limit else { return own ?? limit }
      return min(own, limit)
    }
    return Deadlines(
      firstToken: lower(firstToken, standard.firstToken),
      interToken: lower(interToken, standard.interToken),
      total: min(total ?? standard.total, standard.total), minimumRate: standard.minimumRate)
  }

  /// Deadlines and race mode for the tasks of a plan.
  public func terms(over standard: Deadlines) -> InferenceTerms {
    let deadlines = deadlines(over: standard)
    return InferenceTerms(
      race: race, firstToken: deadlines.firstToken, interToken: deadlines.interToken,
      minimumRate: deadlines.minimumRate)
  }

  /// - Parameter problems: gets the first mistakes. An invalid option keeps its default.
  init(
    parsing value: JSONValue?, in document: JSONDocument, problems: inout [Failure]
  ) {
    guard let value, value.kind != .null else { return }
    guard value.kind == .object else {
      problems.append(.invalid("tutti", "must be an object, not \(value.kind.rawValue)"))
      return
    }
    let found = ProblemList()
    defer { problems += found.all }
    var seen: Set<String> = []
    document.forEachMember(of: value) { member in
      let name = member.name.cut(toBytes: Limits.errorNameBytes.value)
      let reader = OptionReader(document: document, param: "tutti.\(name)", problems: found)
      if !seen.insert(member.name).inserted {
        reader.reject("is given more than once")
      } else if Self.names.contains(member.name) {
        if member.value.kind != .null { read(member.name, member.value, reader) }
      } else {
        reader.reject("is not an option; known options: \(Self.names.joined(separator: ", "))")
      }
      return !found.isFull
    }
    let most =
      models.isEmpty ? members ?? OptionRanges.defaultMembers : models.count
    if let quorum, quorum > most {
      found.all.append(
        .invalid("tutti.quorum", "must be an integer from 1 to \(most), the number of members"))
    }
  }

  static let names = [
    "members", "rounds", "quorum", "budget", "data_policy", "race", "deadlines_ms", "documents",
    "seed", "trace",
  ]

  private mutating func read(_ name: String, _ value: JSONValue, _ reader: OptionReader) {
    switch name {
    case "members": readMembers(value, reader)
    case "rounds": rounds = reader.integer(value, in: OptionRanges.rounds)
    case "quorum": quorum = reader.integer(value, in: OptionRanges.members)
    case "budget":
      reader.object(value, names: ["tokens", "credits"]) { name, value, reader in
        let amount = reader.integer(value, in: OptionRanges.budget)
        if name == "tokens" { budgetTokens = amount } else { budgetCredits = amount }
      }
    case "data_policy": statedPolicy = reader.choice(value, of: DataPolicy.self)
    case "race": race = reader.choice(value, of: RaceMode.self)
    case "deadlines_ms":
      reader.object(value, names: ["first_token", "inter_token", "total"]) {
        name, value, reader in
        let deadline = reader.integer(value, in: 1...3_600_000).map {
          Duration.milliseconds($0)
        }
        switch name {
        case "first_token": firstToken = deadline
        case "inter_token": interToken = deadline
        default: total = deadline
        }
      }
    case "documents": readDocuments(value, reader)
    case "seed":
      // Any 64-bit pattern is a seed, so negative numbers are valid.
      if let number = reader.document.integer(value) {
        seed = UInt64(bitPattern: Int64(number))
      } else {
        reader.reject("must be an integer")
      }
    default:
      if let flag = reader.document.boolean(value) {
        trace = flag
      } else if reader.document.string(value) == "full" {
        trace = true
        tracesOutputs = true
      } else {
        reader.reject("must be true, false or \"full\"")
      }
    }
  }

  private mutating func readMembers(_ value: JSONValue, _ reader: OptionReader) {
    let most = OptionRanges.members.upperBound
    let wanted = "must be an integer from 1 to \(most) or an array of as many models"
    guard value.kind == .array else {
      guard let count = reader.document.integer(value), OptionRanges.members.contains(count)
      else { return reader.reject(wanted) }
      members = count
      return
    }
    var names: [ModelID] = []
    var isGood = true
    reader.document.forEachElement(of: value) { element in
      guard let name = reader.document.string(element), !name.isEmpty,
        name.utf8.count <= RequestLimits.modelBytes, names.count < most
      else {
        isGood = false
        return false
      }
      names.append(ModelID(name))
      return true
    }
    guard isGood, !names.isEmpty else { return reader.reject(wanted) }
    models = names
  }

  private mutating func readDocuments(_ value: JSONValue, _ reader: OptionReader) {
    guard value.kind == .array else { return reader.reject("must be an array") }
    var read = DocumentOption()
    reader.document.forEachElement(of: value) { element in
      guard let problem = read.take(element, in: reader.document) else { return true }
      reader.reject(problem)
      return false
    }
    documents = read.documents
  }
}

/// Mistakes found by the readers of all options.
private final class ProblemList {
  var all: [Failure] = []
  /// Whether the list is full, so that further mistakes are dropped. A request may repeat a mistake
  /// a million times.
  var isFull: Bool { all.count > Limits.errorProblems.value }
}

/// Reads and checks one option.
private struct OptionReader {
  let document: JSONDocument
  let param: String
  let problems: ProblemList

  func reject(_ message: String) {
    if !problems.isFull { problems.all.append(.invalid(param, message)) }
  }

  func integer(_ value: JSONValue, in range: ClosedRange<Int>) -> Int? {
    if let number = document.integer(value), range.contains(number) { return number }
    reject("must be an integer from \(range.lowerBound) to \(range.upperBound)")
    return nil
  }

  func choice<T: RawRepresentable & CaseIterable>(_ value: JSONValue, of: T.Type) -> T?
  where T.RawValue == String {
    if let chosen = document.string(value).flatMap({ T(rawValue: $0) }) { return chosen }
    let names = T.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    reject("must be one of \(names)")
    return nil
  }

  func object(
    _ value: JSONValue, names: [String], _ body: (String, JSONValue, OptionReader) -> Void
  ) {
    guard value.kind == .object else {
      return reject("must be an object with some of \(names.joined(separator: ", "))")
    }
    var seen: Set<String> = []
    document.forEachMember(of: value) { member in
      let name = member.name.cut(toBytes: Limits.errorNameBytes.value)
      let inner = OptionReader(document: document, param: "\(param).\(name)", problems: problems)
      if !seen.insert(member.name).inserted {
        inner.reject("is given more than once")
      } else if names.contains(member.name) {
        if member.value.kind != .null { body(member.name, member.value, inner) }
      } else {
        inner.reject("is not an option; known options: \(names.joined(separator: ", "))")
      }
      return !problems.isFull
    }
  }
}
