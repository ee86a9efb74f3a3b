/// A budget as the registry's admin API shows it.
public struct BudgetRow: Decodable, Hashable, Sendable {
  let amount: String
  let period: String
  let window: String
  /// Spent shares that cause a warning, in thousandths of the amount.
  let warnings: [Int]
  let spent: String

  enum CodingKeys: CodingKey { case amount, period, window, warnings, spent }

  /// The budget in words, for example `12.5 of 100 a month`. A rolling window is named.
  var text: String {
    "\(spent) of \(amount) a \(period)" + (window == "calendar" ? "" : " (\(window))")
  }

  var warningText: String {
    warnings.isEmpty
      ? "-"
      : warnings.map { warning in
        "\(warning / 10)" + (warning % 10 == 0 ? "" : ".\(warning % 10)") + "%"
      }.joined(separator: " ")
  }

  /// A row for each budget of each owner.
  public static func table(_ owners: [(name: String, budgets: [BudgetRow])]) -> TextTable {
    var table = TextTable([
      ("account", .left), ("period", .left), ("window", .left), ("amount", .right),
      ("spent", .right), ("warnings", .left),
    ])
    for owner in owners {
      for budget in owner.budgets {
        table.append([
          owner.name, budget.period, budget.window, budget.amount, budget.spent,
          budget.warningText,
        ])
      }
    }
    return table
  }

  static func summary(_ budgets: [BudgetRow]) -> String {
    budgets.isEmpty ? "-" : budgets.map(\.text).joined(separator: ", ")
  }
}

/// An organisation as the registry's admin API shows it.
public struct OrganisationRow: Decodable, Hashable, Sendable {
  public let id: String
  let name: String
  let isPrepaid: Bool
  let budgets: [BudgetRow]
  let balance: String
  let held: String

  enum CodingKeys: String, CodingKey {
    case id, name, budgets, balance, held
    case isPrepaid = "prepaid"
  }

  public static func table(_ rows: [OrganisationRow]) -> TextTable {
    var table = TextTable([
      ("organisation", .left), ("name", .left), ("prepaid", .left), ("balance", .right),
      ("held", .right), ("spent of budgets", .left),
    ])
    for row in rows {
      table.append([
        row.id, row.name, row.isPrepaid ? "yes" : "no", row.balance, row.held,
        BudgetRow.summary(row.budgets),
      ])
    }
    return table
  }
}

/// A team as the registry's admin API shows it.
public struct TeamRow: Decodable, Hashable, Sendable {
  /// `ORGANISATION/TEAM`.
  public let id: String
  let name: String
  let budgets: [BudgetRow]

  enum CodingKeys: CodingKey { case id, name, budgets }

  public static func table(_ rows: [TeamRow]) -> TextTable {
    var table = TextTable([("team", .left), ("name", .left), ("spent of budgets", .left)])
    for row in rows { table.append([row.id, row.name, BudgetRow.summary(row.budgets)]) }
    return table
  }
}

/// The budgets of one account or key.
public struct OwnBudgets: Decodable, Hashable, Sendable {
  public let budgets: [BudgetRow]

  enum CodingKeys: CodingKey { case budgets }
}
