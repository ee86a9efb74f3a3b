public import ClusterModel
import Limits
import Money
import Text

/// Options of `tutti budgets set` and `clear`, unchecked.
public struct BudgetOptions: Sendable {
  public var period: String?
  public var window: String?
  /// Spent shares of the amount that cause a warning, such as `80%`. `nil` means that the present
  /// ones stay.
  public var warnings: [String]?

  public init() {}

  /// Returns the budgets of an account after one of them was set. The new budget replaces one with
  /// the same period and window.
  ///
  /// - Parameters:
  ///   - amount: credits in decimal digits.
  ///   - present: budgets that the account has.
  /// - Throws: all mistakes at once, one per line. Exception: too many values of `--warn` are
  ///   reported alone, without the other mistakes.
  public func setting(
    _ amount: String, in present: [BudgetRow]
  ) throws(ProcessFailure) -> RecordValue {
    var mistakes: [String] = []
    var credits = ""
    do throws(AmountTextError) {
      credits = try MicroCredits(credits: amount).credits
    } catch {
      mistakes.append("the amount “\(amount.cut(toBytes: 40))” is not right: \(error)")
    }
    let period = period ?? ""
    if self.period == nil {
      mistakes.append("--period is missing; choose from \(Self.list(BudgetPeriod.self))")
    }
    let window = window ?? BudgetWindow.Kind.calendar.rawValue
    mistakes += Self.mistakes(period: self.period, window: window)
    let thresholds = warnings?.map { ($0, Self.thousandths($0)) }
    for case (let text, nil) in thresholds ?? [] {
      mistakes.append(
        "--warn: “\(text.cut(toBytes: 40))” is not a share of the amount such as 80% or 99.5%")
    }
    guard thresholds?.count ?? 0 <= Limits.budgetWarnings.value else {
      throw ProcessFailure(
        .usage, "--warn: a budget has at most \(Limits.budgetWarnings.value) warnings")
    }
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    let replaced = present.first { $0.period == period && $0.window == window }
    let new = RecordValue.object([
      "amount": .text(credits), "period": .text(period), "window": .text(window),
      "warnings": .list(
        (thresholds?.compactMap(\.1) ?? replaced?.warnings ?? []).map { .integer($0) }),
    ])
    return .list(present.filter { $0 != replaced }.map(\.terms) + [new])
  }

  /// Returns the budgets of an account without those of the period and window. An absent option
  /// matches every budget.
  ///
  /// - Throws: if an option is not valid, or no budget matches.
  public func clearing(_ present: [BudgetRow]) throws(ProcessFailure) -> RecordValue {
    let mistakes = Self.mistakes(period: period, window: window)
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    let kept = present.filter { budget in
      !(period.map { $0 == budget.period } ?? true && window.map { $0 == budget.window } ?? true)
    }
    guard kept.count < present.count else {
      throw ProcessFailure(.failed, "there is no such budget; nothing was changed")
    }
    return .list(kept.map(\.terms))
  }

  private static func mistakes(period: String?, window: String?) -> [String] {
    [
      period.flatMap {
        KeyOptions.mistake(in: $0, of: BudgetPeriod.self, option: "period", "a period")
      },
      window.flatMap {
        KeyOptions.mistake(in: $0, of: BudgetWindow.Kind.self, option: "window", "a window")
      },
    ].compactMap(\.self)
  }

  private static func list<Choice: CaseIterable & RawRepresentable<String>>(
    _: Choice.Type
  ) -> String { Choice.allCases.map(\.rawValue).joined(separator: ", ") }

  /// Parses a percentage with at most one decimal into thousandths, for example `80%` into 800.
  /// `nil` means that the text is no such percentage above zero, or that it exceeds 100%.
  static func thousandths(_ text: String) -> Int? {
    guard text.hasSuffix("%"), text.utf8.count <= 6,
      let credits = try? MicroCredits(credits: text.dropLast())
    else { return nil }
    // The number was parsed as credits, so a tenth of a credit means a tenth of a per cent. That is
    // one thousandth.
    let (whole, rest) = credits.count.quotientAndRemainder(dividingBy: MicroCredits.perCredit / 10)
    return rest == 0 && (1...1_000).contains(whole) ? Int(whole) : nil
  }
}

extension BudgetRow {
  /// The budget in a request.
  fileprivate var terms: RecordValue {
    .object([
      "amount": .text(amount), "period": .text(period), "window": .text(window),
      "warnings": .list(warnings.map { .integer($0) }),
    ])
  }
}
