import ArgumentParser
import ClusterModel
import CommandLineCore

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
      "A text file in which the answer may be looked up. May be repeated.", valueName: "file"),
    completion: .file())
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
    let texts = try TextFile.read(documents, option: "--document")
    return AskBody.Extension(
      documents: texts.isEmpty ? nil : texts, members: memberCount, rounds: rounds,
      quorum: quorum,
      budget: budget == nil && budgetCredits == nil
        ? nil : AskBody.Budget(tokens: budget, credits: budgetCredits),
      seed: seed, dataPolicy: dataPolicy)
  }
}
