import ClusterModel
import Text

/// Expected tokens of one task, before its inputs are known.
struct TaskDemand: Equatable, Sendable {
  /// Estimated tokens of one prompt without the task's inputs.
  var prompt: Int
  /// Maximum completion tokens of the task. `nil` means no limit.
  var maxTokens: Int?
  /// Maximum number of prompts that hosts read for the task.
  private(set) var readings = 1
  /// Maximum number of times that a host writes the output or reads it again in a later prompt.
  private(set) var writings = 1
  /// Tokens that the second prompt adds to the first.
  private var correction = 0

  init(prompt: Int, maxTokens: Int? = nil) {
    self.prompt = prompt
    self.maxTokens = maxTokens
  }

  /// The demand of a task whose output is for a program.
  /// Such an output is requested once more if it breaks its contract. The second prompt includes
  /// the first answer and a correction.
  static func corrected(prompt: Int, maxTokens: Int? = nil, correction: Int) -> TaskDemand {
    var demand = TaskDemand(prompt: prompt, maxTokens: maxTokens)
    demand.readings = 2
    demand.writings = 3
    demand.correction = correction
    return demand
  }

  /// Estimated tokens of all prompts without the task's inputs.
  var prompts: Int { readings * prompt + (readings - 1) * correction }
}

extension TaskDemand {
  /// Tokens that describe the error in a correction, without the tokens of the contract.
  private static let correctionTokens = 32

  /// - Parameter isAnswer: whether the output is the answer. Its prompt describes no contract,
  ///   because the client's request sets the form of the answer.
  init(_ task: PlanTask, isAnswer: Bool, order: PlanOrder, limits: PlanRunLimits) {
    let hasContract = task.contract != .text && !isAnswer
    let contract = hasContract ? Self.contractTokens(task.contract) : 0
    let conversation =
      task.readsConversation
      ? TokenEstimate.tokens(bytes: order.conversation.messagesJSON.count) : 0
    var prompt =
      limits.callTokens + conversation + TokenEstimate.tokens(of: task.instruction) + contract
      + Self.fenceTokens(of: task, limits)
    prompt += Self.documentTokens(of: task, order, besides: prompt, limits)
    self =
      hasContract
      ? .corrected(
        prompt: prompt, maxTokens: task.maxTokens, correction: contract + Self.correctionTokens)
      : TaskDemand(prompt: prompt, maxTokens: task.maxTokens)
  }

  /// Tokens that describe the output format to the model. JSON has about three bytes per token.
  private static func contractTokens(_ contract: OutputContract) -> Int {
    switch contract {
    case .json(let schema): schema.utf8.count / 3
    case .choice(let words): words.reduce(0) { $0 + TokenEstimate.tokens(of: $1) + 1 }
    case .text, .vector: 0
    }
  }

  /// Tokens of the fences around inputs and documents.
  private static func fenceTokens(of task: PlanTask, _ limits: PlanRunLimits) -> Int {
    let texts = task.inputs.count + (task.documents.isEmpty ? 0 : 1)
    if texts > 0 { return limits.fenceTokens + limits.fencedTextTokens * texts }
    return Fence(seed: task.seed).isUsed(in: task.instruction) ? limits.fenceTokens : 0
  }

  /// Tokens of the documents, up to the room in the prompt.
  ///
  /// The model with the longest context is assumed, so that the estimate covers every choice.
  /// - Parameter prompt: tokens of the prompt without documents.
  private static func documentTokens(
    of task: PlanTask, _ order: PlanOrder, besides prompt: Int, _ limits: PlanRunLimits
  ) -> Int {
    guard !task.documents.isEmpty else { return 0 }
    let readsAll = task.documents.contains(PlanTask.everyDocument)
    let bytes = order.documents.reduce(0) { sum, document in
      readsAll || task.documents.contains(document.name)
        ? sum + document.text.utf8.count + document.name.utf8.count : sum
    }
    let parts = max(1, task.documentPart?.count ?? 1)
    let models = task.model.map { [$0] + task.alternatives } ?? []
    let room = DocumentRoom.tokens(
      context: order.request?.contextTokens(of: models).values.max(),
      prompt: prompt, completion: min(task.maxTokens ?? .max, limits.expectedTokens))
    return min(bytes / parts / TokenEstimate.bytesPerToken, room)
  }
}
