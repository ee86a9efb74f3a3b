import ClusterModel
import PlannerCore
import Text

enum PlanEntries {
  private static func planRequest(_ pattern: PatternName, _ query: String) -> PlanRequest {
    PlanRequest(
      pattern: pattern.rawValue, query: query, seed: 7, available: ["alpha", "beta"],
      conversationTokens: 10)
  }

  /// First byte of the seeds and findings of a pattern. A number never changes; a new pattern gets
  /// the next one.
  private static func number(of pattern: PatternName) -> UInt8 {
    switch pattern {
    case .auto: 0
    case .ensemble: 1
    case .debate: 2
    case .maestro: 3
    case .decompose: 4
    }
  }

  /// Number of patterns when the first findings were made. It never changes, so that a byte without
  /// a pattern of its own keeps its meaning.
  private static let firstPatterns: UInt8 = 5

  static func chosen(_ byte: UInt8) -> PatternName {
    func pattern(_ wanted: UInt8) -> PatternName? {
      PatternName.allCases.first { number(of: $0) == wanted }
    }
    return pattern(byte) ?? pattern(byte % firstPatterns) ?? .auto
  }

  /// Makes a plan. The first byte chooses the pattern; the rest is the query.
  static func plan(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let query = String(decoding: bytes.dropFirst(), as: UTF8.self)
    guard let plan = try? makePlan(planRequest(chosen(first), query), id: "p") else { return }
    precondition((try? PlanValidation.validate(plan)) != nil, "a plan breaks a rule of plans")
  }

  /// A query that reads like several pieces of work, but has no list of them that the planner can
  /// split. Therefore a model is asked for the parts.
  private static let query =
    "FAQ articles on returns, warranty, shipping abroad and invoices please, around 250 words each."

  /// Expands a plan. The first byte chooses the pattern; the rest is the output of every expanding
  /// task.
  ///
  /// - Returns: the kinds of expansion that the plan had, for a test of the seeds.
  @discardableResult
  static func expand(_ bytes: [UInt8]) -> Set<String> {
    var kinds: Set<String> = []
    guard let first = bytes.first else { return kinds }
    let output = String(decoding: bytes.dropFirst(), as: UTF8.self)
    let request = planRequest(chosen(first), query)
    guard var plan = try? makePlan(request, id: "p") else { return kinds }
    for _ in 0..<4 {
      guard let task = plan.tasks.first(where: { $0.expansion != nil }) else { return kinds }
      if let kind = task.expansion { kinds.insert(kind) }
      let inputs = task.inputs.map { TaskOrder.NamedInput(name: $0.name, text: output) }
      let sub = expandPlan(
        ExpandRequest(
          plan: plan, task: task.id, output: output, inputs: inputs, request: request))
      guard let next = try? plan.splicing(sub, at: task.id) else {
        preconditionFailure("a sub-plan does not fit")
      }
      plan = next
    }
    return kinds
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
