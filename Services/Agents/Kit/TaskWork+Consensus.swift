import AgentCore
import ClusterModel
import Inference
import InferenceCore
import Telemetry

extension TaskWork {
  /// Maximum wait for embeddings. A model takes a fraction of a second for a few pages, even on a
  /// CPU. A slower host is overloaded, and no answer waits for it.
  static let consensusPatience = Duration.seconds(2)
  /// The wait is also limited to the task's remaining time divided by this number.
  private static let consensusShare = 10

  /// Compares the inputs by words, and by an embedding model if a host has a free slot.
  /// The order already has the word weights. They suffice if the embedding fails. The span records
  /// the method and the dissenting inputs.
  /// - Returns: `nil` if there is nothing to compare.
  mutating func consensus() async -> Consensus? {
    guard var consensus = Consensus(weighed: order.inputs) else { return nil }
    do throws(Failure) {
      consensus = Consensus(of: order.inputs, meanings: try await meanings())
    } catch {
      span.set("agreement_reason", error.message)
    }
    span.set("agreement", consensus.basis.rawValue)
    span.set("agreement_weights", consensus.weightsText)
    let dissent = consensus.dissent.map { name in
      order.task.inputs.first { $0.name == name }.map { "\(name) (\($0.from))" } ?? name
    }
    if !dissent.isEmpty { span.set("dissent", dissent.joined(separator: ", ")) }
    return consensus
  }

  /// - Throws: the reason to compare by words only.
  private mutating func meanings() async throws(Failure) -> [[Int]] {
    guard !order.sparesTokens else {
      throw Failure(.invalidRequest, "the plan's tokens are limited")
    }
    guard let model = hosts.idleEmbedder(permission) else {
      throw Failure(.noEligibleHost, "no idle host offers an embedding model that may be used")
    }
    guard let question = ConsensusQuestion(order.inputs.map(\.text)) else {
      throw Failure(.invalidRequest, "there are too many texts to embed in one request")
    }
    let share = left.map { $0 / Self.consensusShare } ?? consensusPatience
    let answer = try await inference.infer(
      InferenceRequest(
        endpoint: .embeddings, model: model, body: question.body, stream: false,
        trace: span.context),
      constraints: InferenceConstraints(
        race: .single, deadlines: Deadlines(total: min(consensusPatience, share)),
        dataPolicy: dataPolicy, pools: order.pools, client: ClientFingerprint(tag: order.client),
        seed: order.task.seed))
    var meanings: [[Int]]?
    for try await event in answer {
      switch event {
      case .chunk, .resumed: break
      case .body(let body): meanings = question.meanings(in: body)
      case .finished(let summary): spent(on: summary)
      }
    }
    guard let meanings else {
      throw Failure(.upstreamFailed, "the vectors of \(answer.host) cannot be compared")
    }
    return meanings
  }
}
