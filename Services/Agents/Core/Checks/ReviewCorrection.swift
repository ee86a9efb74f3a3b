public import ClusterModel
import Text

/// Adds mistakes that were found without a model (`InputMistakes`) to a model's review.
/// A small model accepts "17 + 25 = 43" even if its prompt calls it wrong.
///
/// It changes only outputs whose contract has `issues` and allows `repair` as `verdict`.
public enum ReviewCorrection {
  /// - Parameters:
  ///   - output: the model's output.
  ///   - findings: mistakes that are certain.
  /// - Returns: a review that fits the contract and asks to repair the mistakes. `nil` means that
  ///   no change is needed, or that every change would break the contract.
  public static func enforcing(
    _ findings: [String], in output: String, contract: OutputContract
  ) -> String? {
    guard !findings.isEmpty, case .json(let written) = contract,
      let schema = ContractSchema(written), isReview(schema)
    else { return nil }
    let issues = findings.map { finding -> JSON in
      ["kind": "reasoning", "issue": .string(finding.cut(toBytes: issueBytes))]
    }
    for candidate in [amended(output, contract, issues), bare(issues)] {
      guard let candidate else { continue }
      let text = String(decoding: candidate.encoded, as: UTF8.self)
      if case .met(let review) = ContractCheck.check(text, against: contract) { return review }
    }
    return nil
  }

  private static let issueBytes = 240

  /// Whether the contract is a review: "repair" is one of its verdicts, and it has issues.
  private static func isReview(_ schema: ContractSchema) -> Bool {
    schema.allows(#""repair""#, as: "verdict") && schema.allows("[]", as: "issues")
  }

  /// The model's review, with the found mistakes before its own issues.
  private static func amended(
    _ output: String, _ contract: OutputContract, _ issues: [JSON]
  ) -> JSON? {
    guard case .met(let review) = ContractCheck.check(output, against: contract),
      let scanner = try? JSONObjectScanner(Array(review.utf8))
    else { return nil }
    let own = scanner["issues"].map { scanner.document.elements(of: $0) } ?? []
    let rest = own.prefix(max(0, InputMistakes.maximumFindings - issues.count)).map {
      JSON.raw(Array(scanner.document.slice($0)))
    }
    return .raw(
      scanner.edited(replacing: [
        ("verdict", JSON.quoted("repair")), ("issues", JSON.array(issues + rest).encoded),
      ]))
  }

  /// A new review that lists only the found mistakes. It replaces an output that cannot be amended.
  private static func bare(_ issues: [JSON]) -> JSON? {
    [
      "verdict": "repair", "quality": 3, "accuracy": 2, "coherence": 3, "issues": .array(issues),
    ]
  }
}
