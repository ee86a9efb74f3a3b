/// The `tutti` extension of an answer's last chunk, which describes how the answer was made, and
/// its text for people.
public struct ExecutionReport: Decodable, Sendable {
  public struct Task: Decodable, Sendable {
    public let id: String
    let role: String?
    let host: String?
    public let model: String?
    let status: String?
    let firstTokenMilliseconds: Int?
    let totalMilliseconds: Int?
    let usage: Tokens?
    /// Credits at the hosts' own prices.
    let cost: String?
    /// The output, if the client asked for it.
    public let output: String?

    enum CodingKeys: String, CodingKey {
      case id, role, host, model, status, usage, output
      case firstTokenMilliseconds = "first_token_ms"
      case totalMilliseconds = "total_ms"
      case cost = "host_cost"
    }
  }

  struct Tokens: Decodable, Sendable {
    let prompt: Int
    let completion: Int
    let total: Int

    enum CodingKeys: String, CodingKey {
      case prompt = "prompt_tokens"
      case completion = "completion_tokens"
      case total = "total_tokens"
    }

    static let zero = Tokens(prompt: 0, completion: 0, total: 0)

    static func + (left: Tokens, right: Tokens) -> Tokens {
      // A server can send any numbers.
      Tokens(
        prompt: left.prompt &+ right.prompt, completion: left.completion &+ right.completion,
        total: left.total &+ right.total)
    }
  }

  struct Attempt: Decodable, Sendable { let ending: String? }

  let traceID: String?
  let pattern: String?
  /// Why there is this plan, or none.
  let reason: String?
  public let tasks: [Task]?
  let attempts: [Attempt]?
  /// Credits at the hosts' own prices. `nil` means that a price is unknown.
  let hostCost: String?
  /// The client's charge in credits. `nil` means that the request is not billed.
  let cost: String?

  enum CodingKeys: String, CodingKey {
    case pattern, reason, tasks, attempts, cost
    case traceID = "trace_id"
    case hostCost = "host_cost"
  }

  /// Whether the answer was ended because its host repeated itself.
  public var hasRepetition: Bool { attempts?.contains { $0.ending == "repetition" } ?? false }

  /// The table of tasks, and lines with the costs and the trace.
  /// - Parameter traceID: id from the answer's head, if the extension has none.
  public func lines(traceID: String?) -> [String] {
    var lines = table.lines
    if let reason, !reason.isEmpty { lines.append("why: \(reason)") }
    if let cost { lines.append("cost \(cost) credits") }
    if let id = self.traceID ?? traceID {
      lines.append("pattern \(pattern ?? "-"), trace \(id)")
    }
    return lines
  }

  private var table: TextTable {
    var table = TextTable([
      ("task", .left), ("agent role", .left), ("host", .left), ("model", .left),
      ("first-token ms", .right), ("read", .right), ("written", .right), ("total", .right),
      ("credits", .right), ("ms", .right), ("status", .left),
    ])
    let tasks = tasks ?? []
    for task in tasks {
      table.append(
        [
          task.id, task.role ?? "-", task.host ?? "-", task.model ?? "-",
          task.firstTokenMilliseconds.map(String.init) ?? "-",
        ] + Self.cells(task.usage) + [
          task.cost ?? "-", task.totalMilliseconds.map(String.init) ?? "-", task.status ?? "-",
        ])
    }
    if tasks.count > 1 {
      let sum = tasks.compactMap(\.usage).reduce(Tokens.zero, +)
      table.append(["total", "", "", "", ""] + Self.cells(sum) + [hostCost ?? "-", "", ""])
    }
    return table
  }

  private static func cells(_ tokens: Tokens?) -> [String] {
    guard let tokens else { return ["-", "-", "-"] }
    return ["\(tokens.prompt)", "\(tokens.completion)", "\(tokens.total)"]
  }
}
