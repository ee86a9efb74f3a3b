import ClusterModel
import Text

/// Facts that all patterns and expansions derive from a request.
///
/// They depend on the request alone, so the tasks of a sub-plan fit those of the initial plan.
struct PlanBasis {
  let request: PlanRequest
  let features: QueryFeatures
  /// Models to assign in rotation: the models that the client named, otherwise the eligible models.
  /// The eligible models start at an index that the seed decides, so that many requests spread
  /// their load.
  let models: [ModelID]
  /// Estimated tokens of the conversation, which most tasks read.
  let conversationTokens: Int
  /// The smallest reported context of each model that may be asked. Empty if there are no
  /// documents, because only documents need these contexts.
  let contextTokens: [ModelID: Int]
  private let firstSeed: UInt64

  init(_ request: PlanRequest) {
    var request = request
    // The client's limit may exceed the limit for an answer of a plan.
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
    // Four bytes per token is the usual estimate for English.
    conversationTokens = max(
      Usage.bounded(request.conversationTokens),
      request.query.utf8.count / TokenEstimate.bytesPerToken + 1)
    contextTokens = request.documents.isEmpty ? [:] : request.contextTokens(of: request.models)
    // The request's seed is mixed, so that requests with neighbouring seeds share no task seeds.
    // Task seeds count up from the mixed seed, so that concurrent tasks rotate over the hosts
    // without coordination.
    var mixer = SplitMix64(seed: request.seed)
    firstSeed = mixer.next()
  }

  /// Returns the seed of a task.
  ///
  /// - Parameter number: the task's index in its plan.
  func seed(_ number: Int) -> UInt64 { firstSeed &+ UInt64(number) }

  /// Returns the fence for text of models or documents in a task's instruction.
  ///
  /// - Parameter number: the task's index in its plan.
  func fence(_ number: Int) -> Fence { Fence(seed: seed(number)) }

  /// Returns one of the models that the client named, in rotation. `nil` means that the client
  /// named none, so the agent chooses.
  func namedModel(_ turn: Int) -> ModelID? {
    request.models.isEmpty ? nil : request.models[turn % request.models.count]
  }

  /// Adds fallback models to the tasks that name a model and that the plan cannot skip.
  ///
  /// The fallbacks are the models that follow the task's own model in `models`, which begins again
  /// at its end. Skippable members get none, because a draft by another model would duplicate
  /// another member.
  func withAlternatives(_ tasks: [PlanTask]) -> [PlanTask] {
    // A model whose context is too short for the documents would read only excerpts.
    let readers = documentModel == nil ? [] : Set(longContextModels)
    return tasks.map { task in
      guard let model = task.model, task.onFailure != .skip, task.contract != .vector else {
        return task
      }
      var task = task
      let turn = models.firstIndex(of: model) ?? 0
      task.alternatives = []
      let readsAny = task.documents.isEmpty || readers.isEmpty
      for number in models.indices where task.alternatives.count < PlanLimits.alternatives {
        let other = models[(turn + number) % models.count]
        if other != model, !task.alternatives.contains(other), readsAny || readers.contains(other) {
          task.alternatives.append(other)
        }
      }
      return task
    }
  }

  /// Returns the basis for the rest of the plan after `tokens` of the budget are spent.
  func spending(_ tokens: Int) -> PlanBasis {
    var request = request
    request.budgetTokens = request.budgetTokens.map { max(1, $0 - tokens) }
    return PlanBasis(request)
  }

  /// Sampling profile for tasks whose role does not determine it.
  var profile: SamplingProfile? { SamplingProfile(features) }

  /// True if the conversation is hardly longer than the query. A task that gets only its
  /// instruction then misses no earlier turn and no system prompt.
  var queryIsConversation: Bool {
    request.conversationTokens > 0
      && request.conversationTokens <= request.query.utf8.count / TokenEstimate.bytesPerToken + 16
  }
}

extension SamplingProfile {
  /// Chooses the profile from the signal words in the query. `nil` means that they suggest none.
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
