import ClusterModel
import Text

/// What every pattern takes from a request, and every expansion again: it follows from the request
/// alone, so the tasks of a sub-plan fit to those that the plan began with.
struct PlanBasis {
  let request: PlanRequest
  let features: QueryFeatures
  /// In turn: those that were named, else the eligible ones, beginning at one that the seed picks,
  /// so that the load of many requests spreads.
  let models: [ModelID]
  /// Estimated tokens of the conversation, which most tasks read.
  let conversationTokens: Int
  private let firstSeed: UInt64

  init(_ request: PlanRequest) {
    var request = request
    // What a client allows can be more than any plan may write; nobody asked for that much.
    request.maxTokens = request.maxTokens.map { min($0, PlanLimits.answerTokens) }
    self.request = request
    features = QueryFeatures(request.query)
    let available = Set(request.available).sorted()
    if !request.models.isEmpty || available.isEmpty {
      models = request.models
    } else {
      let first = Int(request.seed % UInt64(available.count))
      models = Array(available[first...] + available[..<first])
    }
    // Four bytes a token is the usual estimate for English.
    conversationTokens = max(
      Usage.bounded(request.conversationTokens), request.query.utf8.count / 4 + 1)
    // Mixed, so that two requests with neighbouring seeds share none; then counted up, so that
    // tasks that work side by side can take turns over the hosts without knowing of each other.
    var mixer = SplitMix64(seed: request.seed)
    firstSeed = mixer.next()
  }

  /// - Parameter number: the task's place in its plan.
  func seed(_ number: Int) -> UInt64 { firstSeed &+ UInt64(number) }

  /// For the words of models in the instruction of a task.
  /// - Parameter number: the task's place in its plan.
  func fence(_ number: Int) -> Fence { Fence(seed: seed(number)) }

  /// One of the models that the client named, in turn; nil: none was, so the agent chooses.
  func namedModel(_ turn: Int) -> ModelID? {
    request.models.isEmpty ? nil : request.models[turn % request.models.count]
  }

  /// A task that the plan cannot do without may be done with the other models too, in turn from its own:
  /// those that the client named, or any. A member's draft may be left out, and another model's draft
  /// in its place would be that of another member.
  func withAlternatives(_ tasks: [PlanTask]) -> [PlanTask] {
    tasks.map { task in
      guard let model = task.model, task.onFailure != .skip, task.contract != .vector else {
        return task
      }
      var task = task
      let turn = models.firstIndex(of: model) ?? 0
      task.alternatives = []
      for other in models[turn...] + models[..<turn]
      where other != model && !task.alternatives.contains(other) {
        task.alternatives.append(other)
      }
      task.alternatives = Array(task.alternatives.prefix(PlanLimits.alternatives))
      return task
    }
  }

  /// For what follows once so many tokens of the budget are spent.
  func spending(_ tokens: Int) -> PlanBasis {
    var request = request
    request.budgetTokens = request.budgetTokens.map { max(1, $0 - tokens) }
    return PlanBasis(request)
  }

  /// The profile for tasks whose role does not decide it.
  var profile: SamplingProfile? { SamplingProfile(features) }

  /// The whole answer was said in the query: there is no earlier turn and no system prompt that a
  /// task would miss if it were given its instruction alone.
  var queryIsConversation: Bool {
    request.conversationTokens > 0
      && request.conversationTokens <= request.query.utf8.count / 4 + 16
  }
}

extension SamplingProfile {
  /// The kind of the query, by what most of its telling words say; nil: nothing tells.
  init?(_ features: QueryFeatures) {
    if features.isAboutCode {
      self = .code
    } else if features.creative > 0, features.creative >= features.reasoning {
      self = .creative
    } else if features.extraction > 0 {
      self = .extraction
    } else if features.reasoning > 0, features.reasoning >= features.facts {
      self = .reasoning
    } else if features.facts > 0 {
      self = .factual
    } else {
      return nil
    }
  }
}
