/// Ranges and defaults of a client's options for a plan.
public enum OptionRanges {
  /// Members of a pattern: at most the inputs that one task may have.
  public static let members = 1...PlanValidation.maximumInputs
  /// Number of members if the client sets none. More drafts usually cost more than they improve the
  /// answer.
  public static let defaultMembers = 3
  /// Rounds of a debate after the opening positions.
  public static let rounds = 1...8
  public static let defaultRounds = 2
  /// Tokens or credits of a budget. No request can use the maximum, and sums of budgets do not
  /// overflow.
  public static let budget = 1...1_000_000_000_000
}
