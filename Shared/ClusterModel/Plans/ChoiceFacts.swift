/// Why a choice took one of its inputs.
public struct ChoiceFacts: Equatable, Sendable {
  /// The reason that decided.
  public enum Basis: String, Codable, CaseIterable, Sendable {
    /// No other draft was left.
    case onlyDraft = "only draft"
    /// The most frequent answer.
    case votes
    /// The JSON value whose fields agree most with the others.
    case fields
    /// The code whose structure agrees most with the others.
    case structure
    /// The text nearest to the others.
    case nearest
    /// The anchor has not the form that was asked for.
    case form
    /// No draft has enough support to replace the anchor.
    case anchor
    /// A revision was accepted.
    case accepted
  }

  /// The outcome of an input.
  public enum Outcome: String, Codable, CaseIterable, Sendable {
    case chosen
    /// The draft says the same as the chosen one.
    case agreed
    /// The draft has the form that was asked for but less support than the chosen one.
    case outvoted
    /// The draft was replaced by an accepted revision.
    case repaired
    /// The draft has not the form that was asked for.
    case rejected
    /// The draft failed, or was not needed.
    case missing
  }

  public struct Draft: Equatable, Sendable {
    /// Maximum bytes of `reason`.
    public static let reasonBytes = 200

    public var task: TaskID
    public var model: ModelID
    public var outcome: Outcome
    /// Support by the other drafts, in thousandths.
    public var supportMilli: Int
    public var completionTokens: Int
    /// Why the draft was rejected or not accepted. Empty if it was neither.
    public var reason: String

    /// - Parameter reason: is cut to `reasonBytes`.
    public init(
      task: TaskID, model: ModelID, outcome: Outcome, supportMilli: Int, completionTokens: Int,
      reason: String
    ) {
      self.task = task
      self.model = model
      self.outcome = outcome
      self.supportMilli = supportMilli
      self.completionTokens = completionTokens
      self.reason = reason.cut(toBytes: Self.reasonBytes)
    }
  }

  public var kind: AnswerKind
  public var basis: Basis
  /// Agreement of the other drafts with the chosen one, in thousandths. `nil` means unknown,
  /// because there was no other draft to compare with.
  public var confidenceMilli: Int?
  /// The draft of the client's own request. `nil` means that the choice has none.
  public var anchor: TaskID?
  /// Whether the choice was made before all inputs had ended.
  public var isEarly: Bool
  /// The inputs in the order of the edges, at most `PlanValidation.maximumInputs`.
  public var drafts: [Draft]

  public init(
    kind: AnswerKind, basis: Basis, confidenceMilli: Int?, anchor: TaskID?, isEarly: Bool,
    drafts: [Draft]
  ) {
    self.kind = kind
    self.basis = basis
    self.confidenceMilli = confidenceMilli
    self.anchor = anchor
    self.isEarly = isEarly
    self.drafts = drafts
  }
}
