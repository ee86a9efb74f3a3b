import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

/// Reads the question and the documents of a command.
enum Question {
  /// Maximum bytes of a question or a document. The gateway refuses longer ones.
  private static let longest = 10 << 20

  /// - Parameter argument: the question, or - to read it from standard input.
  static func text(_ argument: String) throws(ProcessFailure) -> String {
    let text = try argument == "-" ? standardInput() : argument
    guard !text.allSatisfy(\.isWhitespace) else {
      throw ProcessFailure(.usage, "the question is empty; say what to ask")
    }
    return text
  }

  private static func standardInput() throws(ProcessFailure) -> String {
    let data: Data
    do {
      data = try FileHandle.standardInput.read(upToCount: longest + 1) ?? Data()
    } catch {
      throw ProcessFailure(.failed, "standard input cannot be read (\(ErrorSentence.of(file: error)))")
    }
    guard data.count <= longest else {
      throw ProcessFailure(.usage, "the question on standard input is longer than 10 MiB")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw ProcessFailure(.usage, "the question on standard input is not UTF-8 text")
    }
    return text
  }

  /// Reads documents. A document's name is the last part of its path, or the whole path if an
  /// earlier document has that name.
  static func documents(_ paths: [String]) throws(ProcessFailure) -> [AskBody.Document] {
    var names: Set<String> = []
    var documents: [AskBody.Document] = []
    for path in paths {
      let last = URL(fileURLWithPath: path).lastPathComponent
      let name = names.insert(last).inserted ? last : path
      documents.append(AskBody.Document(name: name, text: try document(path)))
    }
    return documents
  }

  private static func document(_ path: String) throws(ProcessFailure) -> String {
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw ProcessFailure(.usage, "--document: \(path) cannot be read")
    }
    defer { try? file.close() }
    guard let data = try? file.read(upToCount: longest + 1) ?? Data() else {
      throw ProcessFailure(.usage, "--document: \(path) is not a readable file")
    }
    guard data.count <= longest else {
      throw ProcessFailure(.usage, "--document: \(path) is longer than 10 MiB")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw ProcessFailure(
        .usage, "--document: \(path) is not UTF-8 text; send the text that is in it")
    }
    return text
  }
}

/// Help for Tutti's own model names, for every command that takes one.
enum ModelHelp {
  static let table = {
    var rows = PatternName.allCases.map { ($0.rawValue, $0.help) }
    rows.insert(("tutti/fast", "one host answers, the fastest that is free"), at: 1)
    let width = (rows.map(\.0.count).max() ?? 0) + 2
    return rows.map { name, help in
      name + String(repeating: " ", count: width - name.count) + help
    }.joined(separator: "\n")
  }()
}

/// Options of every command that makes a plan.
struct PatternOptions: ParsableArguments {
  @Option(help: "Maximum tokens of the answer.")
  var maxTokens: Int?

  @Option(
    name: .customLong("members"),
    help: ArgumentHelp(
      "Members that each write an answer before one answer is made from theirs, "
        + "1 to \(OptionRanges.members.upperBound). Default: one for each model, at most "
        + "\(OptionRanges.defaultMembers); a single model is asked "
        + "\(OptionRanges.defaultMembers) times.", valueName: "n"))
  var memberCount: Int?

  @Option(
    help: ArgumentHelp(
      "Rounds of a debate, 1 to \(OptionRanges.rounds.upperBound). "
        + "Default: \(OptionRanges.defaultRounds).", valueName: "n"))
  var rounds: Int?

  @Option(
    help: ArgumentHelp(
      "Members that must answer; with fewer, the result is an error instead of an answer. "
        + "Default: 1.", valueName: "n"))
  var quorum: Int?

  @Option(
    help: ArgumentHelp(
      "Maximum tokens of all tasks together, prompts included. A plan that does not fit is made "
        + "smaller, or refused before any token is used.", valueName: "tokens"))
  var budget: Int?

  @Option(
    help: ArgumentHelp(
      "The budget in credits, at the price of the most expensive host that the request may use. "
        + "Free hosts cost nothing; with both budgets the stricter one applies.", valueName: "n"))
  var budgetCredits: Int?

  @Option(help: ArgumentHelp("Any integer; the same seed gives the same plan.", valueName: "n"))
  var seed: Int?

  @Option(
    help: ArgumentHelp(
      "Minimum trust of the hosts that may receive the question: \(choices(of: DataPolicy.self)). "
        + "Default: the least strict that the key permits.", valueName: "policy"),
    completion: .list(DataPolicy.allCases.map(\.rawValue)))
  var dataPolicy: String?

  @Option(
    name: .customLong("document"),
    help: ArgumentHelp(
      "A text file in which the answer may be looked up. May be repeated.", valueName: "file"))
  var documents: [String] = []

  func validate() throws {
    var mistakes = [
      ("--max-tokens", maxTokens, 1...Int.max), ("--members", memberCount, OptionRanges.members),
      ("--rounds", rounds, OptionRanges.rounds),
      ("--quorum", quorum, 1...max(1, memberCount ?? OptionRanges.members.upperBound)),
      ("--budget", budget, OptionRanges.budget),
      ("--budget-credits", budgetCredits, OptionRanges.budget),
    ].compactMap { option, value, range -> String? in
      guard let value, !range.contains(value) else { return nil }
      return range.upperBound == .max
        ? "\(option): \(value) is less than 1"
        : "\(option): \(value) is not from \(range.lowerBound) to \(range.upperBound)"
    }
    if let dataPolicy, DataPolicy(rawValue: dataPolicy) == nil {
      mistakes.append(
        "--data-policy: \(dataPolicy) is not one of \(choices(of: DataPolicy.self))")
    }
    guard mistakes.isEmpty else { throw ValidationError(mistakes.joined(separator: "; ")) }
  }

  /// The options as the `tutti` object of a request, with the contents of the documents.
  func tutti() throws(ProcessFailure) -> AskBody.Extension {
    let texts = try Question.documents(documents)
    return AskBody.Extension(
      documents: texts.isEmpty ? nil : texts, members: memberCount, rounds: rounds,
      quorum: quorum,
      budget: budget == nil && budgetCredits == nil
        ? nil : AskBody.Budget(tokens: budget, credits: budgetCredits),
      seed: seed, dataPolicy: dataPolicy)
  }
}

/// The request of `tutti ask` and `tutti plan`.
struct AskBody: Encodable {
  struct Message: Encodable {
    let role: String
    let content: String
  }
  struct StreamOptions: Encodable {
    let includeUsage: Bool
    enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
  }
  struct Document: Encodable {
    let name: String
    let text: String
  }
  struct Budget: Encodable {
    var tokens: Int?
    var credits: Int?
  }
  enum Trace: Encodable {
    case summary
    /// The trace contains the outputs of tasks.
    case full

    func encode(to encoder: any Encoder) throws {
      var value = encoder.singleValueContainer()
      switch self {
      case .summary: try value.encode(true)
      case .full: try value.encode("full")
      }
    }
  }
  struct Extension: Encodable {
    var trace: Trace?
    var documents: [Document]?
    var members: Int?
    var rounds: Int?
    var quorum: Int?
    var budget: Budget?
    var seed: Int?
    var dataPolicy: String?

    enum CodingKeys: String, CodingKey {
      case trace, documents, members, rounds, quorum, budget, seed
      case dataPolicy = "data_policy"
    }
  }

  let model: String
  let messages: [Message]
  var stream = false
  var streamOptions: StreamOptions?
  var maxTokens: Int?
  var temperature: Double?
  var tutti: Extension?

  enum CodingKeys: String, CodingKey {
    case model, messages, stream, temperature, tutti
    case streamOptions = "stream_options"
    case maxTokens = "max_tokens"
  }
}
