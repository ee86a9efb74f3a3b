import ClusterModel
import Limits
import Text

/// Computes the output of a mechanical task from its inputs, without an agent.
enum MechanicalMerge {
  /// An input that has arrived.
  struct Input {
    var name: String
    var text: String
  }

  /// - Parameter inputs: the inputs that succeeded, in the order of the task's edges. Must not be
  ///   empty.
  static func text(_ rule: MergeRule, of inputs: [Input]) -> String {
    switch rule {
    case .concatenate: concatenated(inputs)
    case .replace: inputs.last?.text ?? ""
    case .vote: inputs[Ballot(inputs.map(\.text)).winner ?? 0].text
    case .choose: inputs.first?.text ?? ""
    // `agree` has no output of its own, because the planner reads the inputs.
    case .agree: ""
    case .none, .summarise, .synthesise: preconditionFailure("\(rule) needs a model")
    }
  }

  /// Shortens a text to the form that a task with a model reads: at most `limit` tokens.
  static func reading(_ text: String, toTokens limit: Int) -> String {
    Compression.compressed(bounded(text), toTokens: limit)
  }

  /// Cuts the middle out of a text that is longer than `Limits.readOutputBytes`.
  /// Compressing such a text would take too long.
  static func bounded(_ text: String) -> String {
    let limit = Limits.readOutputBytes.value
    guard text.utf8.count > limit else { return text }
    let end = text.utf8.suffix(limit * 4 / 10).drop { $0 & 0b1100_0000 == 0b1000_0000 }
    return text.cut(toBytes: limit * 6 / 10) + "\n\n\(Compression.marker)\n\n"
      + String(decoding: end, as: UTF8.self)
  }

  static func concatenated(_ inputs: [Input]) -> String {
    inputs.map(\.text).filter { !$0.isEmpty }.joined(separator: "\n\n")
  }

  /// Whether the result is final although `missing` inputs have not arrived.
  static func isDecided(_ rule: MergeRule, by inputs: [Input], missing: Int) -> Bool {
    guard rule == .vote, missing > 0 else { return missing == 0 }
    return Ballot(inputs.map(\.text)).isDecided(missing: missing)
  }

  /// Prepares an output for a merge or an expansion: no control tokens, no reasoning, at most
  /// `limit` tokens.
  static func prepared(_ text: String, toTokens limit: Int) -> String {
    let text = Normaliser.normalised(bounded(text))
    guard TokenEstimate.tokens(of: text) > limit else { return text }
    return Compression.compressed(text, toTokens: limit)
  }
}
