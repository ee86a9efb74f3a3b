public import ClusterModel
import HostModel
import Limits
public import Money
import Text

/// Maximum tokens that a request is expected to use. Its hold is computed from them.
public struct RequestBounds: Hashable, Sendable {
  /// Estimated tokens of all prompts.
  public let prompt: Int
  /// Number of answers. Embeddings have 0.
  let answers: Int
  /// Maximum tokens of one answer, or of a plan in addition to `prompt`.
  let answer: Int
  /// Minimum tokens in addition to `prompt`: one for each direct answer, more for a plan.
  private let least: Int

  /// Bounds of a direct answer.
  fileprivate init(prompt: Int, answers: Int, answer: Int) {
    self.prompt = prompt
    self.answers = answers
    self.answer = answer
    least = answers
  }

  /// Bounds of a plan, whose tasks read the conversation and documents several times.
  public init(plan request: ClientRequest) {
    let documents = request.options.documents.reduce(0) {
      $0.addingCapped(TokenEstimate.tokens(bytes: $1.text.utf8.count))
    }
    let input = request.promptBound.addingCapped(documents)
    let minimum = request.leastPlanTokens
    // A debate of many members may read the conversation more often than other plans.
    let usual = max(
      input.multipliedCapped(by: Limits.planReadings.value)
        .addingCapped(Limits.unstatedPlanTokens.value),
      minimum.multipliedCapped(by: 2))
    prompt = Usage.bounded(request.promptBound)
    answers = 1
    answer = max(1, Usage.bounded(request.options.budgetTokens ?? usual) - prompt)
    // A client's own budget may be too small for the plan. The planner's error then names it.
    least = max(
      TokenEstimate.leastTokens, min(Usage.bounded(minimum).subtractingCapped(prompt), answer))
  }

  /// The minimum and the maximum cost of the request.
  public func cost(at price: TokenPrice) -> RequestCost {
    RequestCost(
      minimum: cost(completion: least, at: price),
      worst: cost(completion: answer.multipliedCapped(by: answers), at: price))
  }

  /// The minimum and the maximum cost of a plan if all its tokens have the price of the most
  /// expensive kind. Before the plan is made, the shares of prompts and answers are not known.
  public func planCost(at price: TokenPrice) -> RequestCost {
    func cost(_ tokens: Int) -> MicroCredits {
      MicroCredits.cost(of: tokens, perMillion: price.highestOfKinds)
    }
    return RequestCost(
      minimum: cost(prompt.addingCapped(least)), worst: cost(prompt.addingCapped(answer)))
  }

  private func cost(completion: Int, at price: TokenPrice) -> MicroCredits {
    // Tokens from a host's cache may cost more than other tokens of the prompt.
    let input = max(price.input, price.cachedInput)
    return MicroCredits.cost(of: prompt, perMillion: input)
      .sum(MicroCredits.cost(of: completion, perMillion: price.output))
  }

  /// Maximum tokens of one answer that a hold pays, at least 1. `nil` means that there is no limit.
  public func answerTokens(for hold: MicroCredits, at price: TokenPrice) -> Int? {
    guard answers > 0, price.output > .zero else { return nil }
    let input = MicroCredits.cost(of: prompt, perMillion: max(price.input, price.cachedInput))
    let most = hold.affordableTokens(promptCost: input, pricePerMillion: price.output) ?? .max
    return max(1, min(most / answers, answer))
  }

  /// Maximum tokens of a plan that a hold pays, at least 1. `nil` means that there is no limit.
  public func planTokens(for hold: MicroCredits, at price: TokenPrice) -> Int? {
    hold.affordableTokens(promptCost: .zero, pricePerMillion: price.highestOfKinds)
      .map { max(1, min($0, prompt.addingCapped(answer))) }
  }
}

extension ClientRequest {
  /// Bounds of a direct answer.
  ///
  /// - Parameters:
  ///   - models: models that may answer.
  ///   - table: hosts, for the length of their contexts.
  public func bounds(models: [ModelID], table: HostTable) -> RequestBounds {
    let prompt = Usage.bounded(promptBound)
    guard endpoint != .embeddings else {
      return RequestBounds(prompt: prompt, answers: 0, answer: 0)
    }
    let answer =
      maxTokens.map(Usage.bounded)
      ?? max(
        1,
        min(
          (table.longestContext(of: models) ?? .max).subtractingCapped(prompt),
          Limits.unstatedAnswerTokens.value))
    return RequestBounds(prompt: prompt, answers: answers, answer: answer)
  }
}

extension MicroCredits {
  /// Cost of tokens. It is rounded up, because a hold must not be too low.
  fileprivate static func cost(of tokens: Int, perMillion price: MicroCredits) -> MicroCredits {
    let exact = Int128(tokens) * Int128(price.count)
    return MicroCredits(Int64(clamping: (exact + 999_999) / 1_000_000))
  }

  fileprivate func sum(_ other: MicroCredits) -> MicroCredits {
    MicroCredits(Int64(clamping: Int128(count) + Int128(other.count)))
  }
}
