import ClusterModel
import Foundation

/// A prompt, and people's judgement whether its parts are worth working on in parallel.
struct LabelledPrompt: Decodable, Sendable {
  var prompt: String
  var split: Bool
  var kind: String
  var why: String

  static func all() throws -> [LabelledPrompt] {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "prompts.json")
    return try JSONDecoder().decode([LabelledPrompt].self, from: Data(contentsOf: file))
  }
}

/// A confusion matrix of split decisions.
struct Confusion: CustomStringConvertible {
  var truePositives = 0
  var falsePositives = 0
  var falseNegatives = 0
  var trueNegatives = 0

  mutating func count(said: Bool, wanted: Bool) {
    switch (said, wanted) {
    case (true, true): truePositives += 1
    case (true, false): falsePositives += 1
    case (false, true): falseNegatives += 1
    case (false, false): trueNegatives += 1
    }
  }

  var precision: Double {
    let said = truePositives + falsePositives
    return said == 0 ? 1 : Double(truePositives) / Double(said)
  }
  var recall: Double {
    let wanted = truePositives + falseNegatives
    return wanted == 0 ? 1 : Double(truePositives) / Double(wanted)
  }

  var description: String {
    func percent(_ value: Double) -> String { String(format: "%.2f", value) }
    return "precision \(percent(precision)) recall \(percent(recall)) "
      + "(split \(truePositives + falsePositives), of them rightly \(truePositives))"
  }
}
