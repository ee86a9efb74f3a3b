import AgentCore
import ClusterModel
import Inference
import InferenceCore
import Telemetry

extension TaskWork {
  /// An embedding model takes a fraction of a second for some pages, on a CPU too. Whoever takes
  /// longer has no time for us, and no answer waits for it.
  static let consensusPatience = Duration.seconds(2)
  /// Of the time that is left for the task.
  private static let consensusShare = 10

  /// How far the inputs say the same: by words, as the order has it, and by an embedding model where a
  /// host has one to spare. Whatever goes wrong there, words are enough. The trace says which it was,
  /// and who says something else than most.
  /// - Returns: nil when there is nothing to compare.
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

  /// - Throws: why words alone decide.
  private mutating func meanings() async throws(Failure) -> [[Int]] {
    guard !order.sparesTokens else {
      throw Failure(.invalidRequest, "the plan has few tokens to spend")
    }
    guard let model = inference.view().idleEmbedder(dataPolicy) else {
      throw Failure(.noEligibleHost, "no host that has time offers an embedding model")
    }
    guard let question = ConsensusQuestion(order.inputs.map(\.text)) else {
      throw Failure(.invalidRequest, "the texts are too many to be embedded in one request")
    }
    let share = left.map { $0 / Self.consensusShare } ?? consensusPatience
    let answer = try await inference.infer(
      InferenceRequest(
        endpoint: .embeddings, model: model, body: question.body, stream: false,
        trace: span.context),
      constraints: InferenceConstraints(
        race: .single, deadlines: Deadlines(total: min(consensusPatience, share)),
        dataPolicy: dataPolicy, client: ClientFingerprint(tag: order.client),
        seed: order.task.seed))
    var meanings: [[Int]]?
    for try await event in answer {
      switch event {
      case .chunk: break
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
