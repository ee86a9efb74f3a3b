public import ClusterModel
public import Text

/// Mistakes in a task's inputs that are found without a model: wrong calculations, and
/// contradictions to the sources.
public enum InputMistakes {
  /// Maximum findings. A longer list does not help the model.
  static let maximumFindings = 8
  private static let quoteBytes = 160

  /// The findings as text for the prompt, with quotations; empty if there are none.
  /// - Parameter fence: the fence of the task's prompt.
  public static func text(_ findings: [String], fence: Fence) -> String {
    guard !findings.isEmpty else { return "" }
    let list = findings.map { "- \($0)" }.joined(separator: "\n")
    return "These mistakes are certain:\n" + fence.enclosing(list)
  }

  /// Returns a sentence for each mistake, up to the maximum.
  public static func of(_ inputs: [TaskOrder.NamedInput], material: PromptDocuments) -> [String] {
    var findings: [String] = []
    for input in inputs where findings.count < maximumFindings {
      for equation in ArithmeticCheck.wrongEquations(in: input.text) {
        let written = equation.written.cut(toBytes: quoteBytes)
        findings.append("\(input.name): \"\(written)\" is wrong; it is \(equation.right).")
      }
      guard !material.sources.isEmpty else { continue }
      for claim in FactCheck(input.text, against: material.sources).claims {
        guard claim.verdict == .contradicted, let source = claim.source else { continue }
        findings.append(
          "\(input.name): \"\(claim.text.cut(toBytes: quoteBytes))\" is not what [\(source)] says.")
      }
    }
    return Array(findings.prefix(maximumFindings))
  }
}
