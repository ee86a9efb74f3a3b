import ClusterModel
import PlannerCore
import Text

enum PlanEntries {
  private static func planRequest(_ pattern: PatternName, _ query: String) -> PlanRequest {
    PlanRequest(
      pattern: pattern.rawValue, query: query, seed: 7, available: ["alpha", "beta"],
      conversationTokens: 10)
  }

  /// The seeds depend on this order: a new pattern comes last.
  static let patterns: [PatternName] = [.auto, .ensemble, .debate, .maestro, .decompose]

  private static func chosen(_ byte: UInt8) -> PatternName {
    patterns[Int(byte) % patterns.count]
  }

  /// Makes a plan. The first byte chooses the pattern; the rest is the query.
  static func plan(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let query = String(decoding: bytes.dropFirst(), as: UTF8.self)
    guard let plan = try? makePlan(planRequest(chosen(first), query), id: "p") else { return }
    precondition((try? PlanValidation.validate(plan)) != nil, "a plan breaks a rule of plans")
  }

  /// Expands a plan. The first byte chooses the pattern; the rest is the output of every expanding
  /// task.
  static func expand(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let output = String(decoding: bytes.dropFirst(), as: UTF8.self)
    let request = planRequest(
      chosen(first), "Compare 1. rain, 2. wind and 3. snow in a paragraph each, then sum up.")
    guard var plan = try? makePlan(request, id: "p") else { return }
    for _ in 0..<4 {
      guard let task = plan.tasks.first(where: { $0.expansion != nil }) else { return }
      let inputs = task.inputs.map { TaskOrder.NamedInput(name: $0.name, text: output) }
      let sub = expandPlan(
        ExpandRequest(
          plan: plan, task: task.id, output: output, inputs: inputs, request: request))
      guard let next = try? plan.splicing(sub, at: task.id) else {
        preconditionFailure("a sub-plan does not fit")
      }
      plan = next
    }
  }

  static func text(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    _ = Sentences.split(text)
    _ = Normaliser.normalised(bytes)
    var boundary = SafeBoundary()
    boundary.take(bytes)
    precondition(boundary.boundary <= bytes.count, "a boundary lies outside its text")
  }
}
