/// How an answer ended, and lines for people if it is not what they expect: it was cut, or another
/// task's text stands in for it.
public struct AnswerEnding: Sendable {
  /// The host's reason, for example `stop` or `length`. `nil` means that none has arrived.
  public var finishReason: String?
  public var completionTokens: Int?
  /// Whether the answer was ended because its host repeated itself.
  public var hasRepetition = false
  /// The task whose text is the answer, and why. `nil` means that the answer is its own text.
  private var substitute: (task: String, reason: String)?
  /// Tasks that other tasks read.
  private var read: Set<String> = []

  public init() {}

  /// Records a step of the plan. Only the task that no other task reads writes the answer.
  public mutating func record(_ step: ProgressStep) {
    if let tasks = step.tasks { read = Set(tasks.flatMap { $0.inputs ?? [] }) }
    guard ProgressStep.Event(rawValue: step.event) == .ended, let task = step.task,
      !read.contains(task)
    else { return }
    substitute = step.textOf.map { ($0, step.reason ?? "") }
  }

  /// - Parameter maxTokens: the client's own limit of the answer. `nil` means that it set none.
  public func lines(maxTokens: Int?) -> [String] {
    var lines: [String] = []
    if let cut = cut(maxTokens: maxTokens) { lines.append(cut) }
    if let substitute {
      let reason = substitute.reason.isEmpty ? "" : ": \(substitute.reason)"
      lines.append("the answer is \(substitute.task)'s text\(reason)")
    }
    return lines
  }

  private func cut(maxTokens: Int?) -> String? {
    if hasRepetition { return "cut because the host repeated itself" }
    switch finishReason {
    case "length":
      if let maxTokens, completionTokens.map({ $0 >= maxTokens }) ?? true {
        return "cut at \(maxTokens) tokens (max_tokens); allow more with --max-tokens"
      }
      let place = completionTokens.map { " after \($0) tokens" } ?? ""
      return "cut\(place) at a limit of the host, the model or a budget; ask for less, or set "
        + "--max-tokens"
    case "content_filter": return "cut by the host's content filter"
    default: return nil
    }
  }
}
