import ClusterModel

/// A key's usage as `GET /v1/usage` returns it, and its text for people.
public struct UsageView: Decodable, Sendable {
  struct Limit: Decodable, Sendable {
    let limit: Int
    let remaining: Int
    /// Seconds until no past request counts. `nil` means that the limit counts running requests.
    let secondsToReset: Int?

    enum CodingKeys: String, CodingKey {
      case limit, remaining
      case secondsToReset = "seconds_to_reset"
    }
  }

  struct Budget: Decodable, Sendable {
    let owner: String
    let id: String
    let period: String
    let window: String
    let amount: String
    let spent: String
    let remaining: String
    let resetsAt: Int64?

    enum CodingKeys: String, CodingKey {
      case owner, id, period, window, amount, spent, remaining
      case resetsAt = "resets_at_ms"
    }
  }

  struct Balance: Decodable, Sendable {
    let organisation: String
    let available: String
    let held: String
  }

  struct Counts: Decodable, Sendable {
    let requests: Int
    let promptTokens: Int
    let cachedTokens: Int
    let completionTokens: Int
    /// Cost in credits.
    let cost: String

    enum CodingKeys: String, CodingKey {
      case requests, cost
      case promptTokens = "prompt_tokens"
      case cachedTokens = "cached_tokens"
      case completionTokens = "completion_tokens"
    }

    var cells: [String] {
      ["\(requests)", "\(promptTokens)", "\(cachedTokens)", "\(completionTokens)", cost]
    }
  }

  struct Row: Decodable, Sendable {
    let day: String
    let model: String
    let counts: Counts

    enum CodingKeys: CodingKey { case day, model }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      day = try members.decode(String.self, forKey: .day)
      model = try members.decode(String.self, forKey: .model)
      counts = try Counts(from: decoder)
    }
  }

  let key: String
  let name: String
  let account: String
  /// Whether the registry answered. Without its answer, budgets, the balance and paid requests are
  /// missing.
  public let isComplete: Bool
  let limits: [String: Limit]
  let budgets: [Budget]?
  let balance: Balance?
  let since: String
  let total: Counts
  let rows: [Row]

  enum CodingKeys: String, CodingKey {
    case key, name, account, limits, budgets, balance, since, total
    case isComplete = "complete"
    case rows = "data"
  }

  /// Tables of limits, budgets and spending, with an empty line between them.
  public var lines: [String] {
    var blocks = [["key tutti-\(key) (\(TextTable.printable(name))) of \(account)"]]
    if !limits.isEmpty { blocks.append(limitTable.lines) }
    if let budgets, !budgets.isEmpty { blocks.append(Self.table(budgets).lines) }
    if let balance {
      blocks.append([
        TextTable.printable(
          "balance of \(balance.organisation): \(balance.available) credits, and "
            + "\(balance.held) held for requests")
      ])
    }
    blocks.append(rowTable.lines)
    return Array(blocks.joined(separator: [""]))
  }

  private var limitTable: TextTable {
    var table = TextTable([
      ("limit", .left), ("value", .right), ("left here", .right), ("resets in", .right),
    ])
    for (name, limit) in limits.sorted(by: { $0.key < $1.key }) {
      table.append([
        name.split(separator: "_").joined(separator: " "), "\(limit.limit)", "\(limit.remaining)",
        limit.secondsToReset.map { "\($0) s" } ?? "-",
      ])
    }
    return table
  }

  private static func table(_ budgets: [Budget]) -> TextTable {
    var table = TextTable([
      ("budget of", .left), ("per", .left), ("amount", .right), ("spent", .right),
      ("left", .right), ("resets", .left),
    ])
    for budget in budgets {
      table.append([
        "\(budget.owner) \(budget.id)", "\(budget.period) (\(budget.window))", budget.amount,
        budget.spent, budget.remaining, budget.resetsAt.map(KeyTime.text) ?? "-",
      ])
    }
    return table
  }

  private var rowTable: TextTable {
    var table = TextTable([
      ("day", .left), ("model", .left), ("requests", .right), ("prompt", .right),
      ("cached", .right), ("completion", .right), ("credits", .right),
    ])
    for row in rows { table.append([row.day, row.model] + row.counts.cells) }
    table.append(["since \(since)", "total"] + total.cells)
    return table
  }
}
