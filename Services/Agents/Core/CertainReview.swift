public import ClusterModel
import Text

/// Sees to it that a review names the mistakes that are certain, whatever its model made of them: a
/// small one accepts "17 + 25 = 43" when it is told that this is wrong.
///
/// It knows reviews that have a `verdict` which may be `repair`, and `issues`; any other output stays
/// as it is.
public enum CertainReview {
  /// - Parameters:
  ///   - output: what the model wrote.
  ///   - findings: mistakes that are certain.
  /// - Returns: a review that fits the contract and asks for their repair; nil: nothing is to be
  ///   changed, or cannot be without breaking the contract.
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

  /// Whether "repair" is one of its verdicts.
  private static func isReview(_ schema: ContractSchema) -> Bool {
    schema.allows(#""repair""#, as: "verdict") && schema.allows("[]", as: "issues")
  }

  /// The model's own review, with what is certain before what it found itself.
  private static func amended(
    _ output: String, _ contract: OutputContract, _ issues: [JSON]
  ) -> JSON? {
    guard case .met(let review) = ContractCheck.check(output, against: contract),
      let scanner = try? JSONObjectScanner(Array(review.utf8))
    else { return nil }
    let own = scanner["issues"].map { scanner.document.elements(of: $0) } ?? []
    let rest = own.prefix(max(0, InputFindings.maximumFindings - issues.count)).map {
      JSON.raw(Array(scanner.document.slice($0)))
    }
    return .raw(
      scanner.edited(replacing: [
        ("verdict", JSON.quoted("repair")), ("issues", JSON.array(issues + rest).encoded),
      ]))
  }

  /// A review of nothing but what is certain, where the model wrote none.
  private static func bare(_ issues: [JSON]) -> JSON? {
    [
      "verdict": "repair", "quality": 3, "accuracy": 2, "coherence": 3, "issues": .array(issues),
    ]
  }
}
