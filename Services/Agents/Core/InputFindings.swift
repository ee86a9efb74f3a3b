public import ClusterModel
public import Text

/// What can be computed about the texts that a task judges, so that its model need not: wrong sums,
/// and what the sources say otherwise.
public enum InputFindings {
  /// Two pages of faults help nobody.
  static let maximumFindings = 8
  private static let toldBytes = 160

  /// For the prompt; empty when nothing was found. Findings quote the texts that they are about.
  /// - Parameter fence: of the task's prompt.
  public static func text(_ findings: [String], fence: Fence) -> String {
    guard !findings.isEmpty else { return "" }
    let list = findings.map { "- \($0)" }.joined(separator: "\n")
    return "These mistakes are certain:\n" + fence.enclosing(list)
  }

  /// A sentence for each mistake, the first ones only.
  public static func of(_ inputs: [TaskOrder.NamedInput], material: Material) -> [String] {
    var findings: [String] = []
    for input in inputs where findings.count < maximumFindings {
      for equation in ArithmeticCheck.wrongEquations(in: input.text) {
        let written = equation.written.cut(toBytes: toldBytes)
        findings.append("\(input.name): \"\(written)\" is wrong; it is \(equation.right).")
      }
      guard !material.sources.isEmpty else { continue }
      for claim in FactCheck(input.text, against: material.sources).claims {
        guard claim.verdict == .contradicted, let source = claim.source else { continue }
        findings.append(
          "\(input.name): \"\(claim.text.cut(toBytes: toldBytes))\" is not what [\(source)] says.")
      }
    }
    return Array(findings.prefix(maximumFindings))
  }
}
