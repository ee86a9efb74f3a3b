public import ClusterModel
public import Text

/// Decides how often the task that writes an answer with a required tool call asks its model, and
/// how. It is a state machine.
///
/// The model is asked as the client asked. If it writes a call as text, the text becomes a call. If
/// it calls no tool, or its host cannot be made to call one, the model is asked for the call as
/// JSON. Many servers enforce the schema of such an answer, but let prose precede a required tool
/// call. An answer without a call is never passed on.
public struct ToolDialogue: Sendable {
  public enum Step: Equatable, Sendable {
    case ask(TaskDialogue.Question)
    /// - Parameter mistake: what is wrong with the calls. `nil` means that they fit.
    case finish(HeldAnswer, mistake: String?)
    case fail(Failure)
  }

  private let check: ToolCallCheck
  private let callID: String
  private let mayRepair: Bool
  private var question = TaskDialogue.Question(hasFormat: true)
  /// Answers so far.
  private var answers = 0
  /// Answer with permitted calls whose arguments do not fit.
  private var flawed: (answer: HeldAnswer, mistake: String)?
  /// Why the hosts refused the client's own request.
  private var refusal: Failure?

  public init(_ contract: ToolContract, for order: TaskOrder) {
    check = ToolCallCheck(contract)
    // A token budget has no share for a second prompt.
    mayRepair = !order.sparesTokens
    // Calls of several turns of a conversation need different ids.
    let plan = order.plan.name.utf8.filter(Self.isAlphanumeric).suffix(24)
    callID = "call_" + String(decoding: plan, as: UTF8.self)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
  }

  public func begin() -> TaskDialogue.Question { question }

  /// Handles a failure of the hosts.
  public mutating func failed(_ failure: Failure) -> Step {
    // A cancelled task asks no more questions.
    guard failure.code != .cancelled else { return .fail(failure) }
    if failure.code == .invalidRequest || failure.code == .noEligibleHost {
      if question.call == nil, answers == 0, asksForText(after: nil) {
        // The hosts may reject only the tools, or their dialect may have no required call.
        refusal = failure
        return .ask(question)
      }
      if question.call != nil, question.hasFormat {
        question.hasFormat = false
        return .ask(question)
      }
    }
    if let flawed { return .finish(flawed.answer, mistake: flawed.mistake) }
    return .fail(refusal ?? failure)
  }

  public mutating func answered(_ answer: HeldAnswer) -> Step {
    answers += 1
    let mistake: String
    if answer.calls.all.isEmpty {
      let written = ToolCallText.calls(in: answer.text, check)
      guard written.isEmpty else {
        var called = answer
        called.replace(with: written, id: callID, isOlder: check.contract.isOlder)
        return .finish(called, mistake: nil)
      }
      mistake = "it calls no function"
    } else {
      guard let found = check.mistake(in: answer.calls.all) else {
        return .finish(answer, mistake: nil)
      }
      if flawed == nil, check.isPermitted(answer.calls.all) { flawed = (answer, found) }
      mistake = found
    }
    if mayRepair, question.call == nil,
      asksForText(after: TaskDialogue.Repair(output: answer.text, mistake: mistake))
    {
      return .ask(question)
    }
    if let flawed { return .finish(flawed.answer, mistake: flawed.mistake) }
    let attempts = answers == 1 ? "1 attempt" : "\(answers) attempts"
    return .fail(
      Failure(
        .upstreamFailed,
        "no model called a tool as tool_choice requires (\(attempts)"
          + (mayRepair ? ")" : "; the token budget permits no repair)"), param: "tool_choice"))
  }

  /// Makes the next question one for the call as JSON.
  /// - Returns: whether there is such a question. A custom tool takes no JSON.
  private mutating func asksForText(after repair: TaskDialogue.Repair?) -> Bool {
    guard check.contract.tools.contains(where: \.takesJSON) else { return false }
    question.call = check.contract
    question.hasFormat = true
    question.repair = repair
    return true
  }
}
