import ClusterModel
import Limits

/// Compares an answer's claims with its sources, sentence by sentence. It compares words and
/// numbers only, so it finds wrong numbers and missing sources, not wrong reasoning.
public struct FactCheck: Equatable, Sendable {
  public enum Verdict: String, CaseIterable, Sendable {
    case supported
    /// No source contains the claim.
    case unsupported
    /// A sentence of a source has most of the claim's words, but other numbers, or only one of the
    /// two is negated. A claim with a wrong calculation is also contradicted.
    case contradicted
  }

  public struct Claim: Equatable, Sendable {
    var text: String
    public var verdict: Verdict
    /// Number of the source that decided the verdict, counted from 1. `nil` means that no source
    /// did.
    var source: Int?
  }

  /// Maximum claims to check, enough for an answer of several pages.
  static let maximumClaims = Limits.checkedClaims.value
  static let maximumEvidence = Limits.checkedEvidence.value
  /// Minimum share of a claim's content words that one sentence of a source must have.
  private static let sharedForSupport = 0.6
  private static let sharedForContradiction = 0.65
  /// Minimum share of a claim's content words that a whole source must have.
  private static let sharedInSource = 0.8

  public private(set) var claims: [Claim] = []
  /// Numbers of existing sources that the answer cites.
  public private(set) var cited: Set<Int> = []
  /// Units of work: bytes read and words compared.
  private(set) var work = 0

  private struct Evidence {
    var sentences: [Sentence]
    var content: Set<String>
    var numbers: Set<String>
  }

  public init(_ answer: String, against sources: [PromptDocuments.Source]) {
    var left = Self.maximumEvidence
    var work = 0
    let evidence = sources.map { source in
      let sentences = Sentence.all(of: source.text, atMost: left, work: &work)
      left -= sentences.count
      return Evidence(
        sentences: sentences, content: sentences.reduce(into: []) { $0.formUnion($1.content) },
        numbers: sentences.reduce(into: []) { $0.formUnion($1.numbers) })
    }
    let sentences = Sentence.all(
      of: answer, atMost: Self.maximumClaims, words: Limits.claimWords.value, work: &work)
    for sentence in sentences {
      cited.formUnion(sentence.cited.filter { (1...max(sources.count, 1)).contains($0) })
      // A single word is a label, not a claim.
      guard sentence.content.count + sentence.numbers.count > 1 else { continue }
      claims.append(Self.judge(sentence, evidence, work: &work))
    }
    if sources.isEmpty { cited = [] }
    self.work = work
  }

  func count(_ verdict: Verdict) -> Int { claims.count { $0.verdict == verdict } }

  /// For the trace: "3 supported, 1 unsupported, 0 contradicted".
  public var summary: String {
    Verdict.allCases.map { "\(count($0)) \($0.rawValue)" }.joined(separator: ", ")
  }

  // MARK: - Judging

  private static func judge(
    _ claim: Sentence, _ evidence: [Evidence], work: inout Int
  ) -> Claim {
    func verdict(_ verdict: Verdict, _ source: Int?) -> Claim {
      Claim(text: claim.text, verdict: verdict, source: source.map { $0 + 1 })
    }
    if !ArithmeticCheck.wrongEquations(in: claim.text).isEmpty {
      return verdict(.contradicted, nil)
    }
    var against: (source: Int, shared: Double)?
    for (number, source) in evidence.enumerated() {
      for sentence in source.sentences {
        work += 1 + min(claim.content.count, sentence.content.count)
        let shared = share(of: claim, in: sentence.content)
        guard shared >= sharedForSupport else { continue }
        let hasNumbers = claim.numbers.isSubset(of: sentence.numbers)
        let isOpposite = claim.isNegated != sentence.isNegated
        if hasNumbers, !isOpposite { return verdict(.supported, number) }
        // A claim that has all numbers of the sentence and others may combine several sentences. It
        // does not contradict this one.
        let differs =
          hasNumbers ? isOpposite : !sentence.numbers.isSubset(of: claim.numbers)
        if differs, shared >= sharedForContradiction, shared > against?.shared ?? 0 {
          against = (number, shared)
        }
      }
    }
    if let against { return verdict(.contradicted, against.source) }
    let whole = evidence.firstIndex {
      share(of: claim, in: $0.content) >= sharedInSource && claim.numbers.isSubset(of: $0.numbers)
    }
    return verdict(whole == nil ? .unsupported : .supported, whole)
  }

  /// Share of the claim's content words that are in `content`; 1 if the claim has only numbers.
  private static func share(of claim: Sentence, in content: Set<String>) -> Double {
    guard !claim.content.isEmpty else { return 1 }
    // Look up the smaller set in the larger one, so that the smaller set bounds the cost.
    let (few, many) =
      claim.content.count < content.count ? (claim.content, content) : (content, claim.content)
    let shared = few.count { many.contains($0) }
    return Double(shared) / Double(claim.content.count)
  }

  // MARK: - Reporting

  /// Maximum claims quoted per verdict.
  private static let maximumQuotations = 3
  private static let quoteBytes = 160

  /// Lines to append to the answer: its sources, and the sentences that they do not support.
  ///
  /// - Parameter hasVerdicts: whether to append contradicted and unsupported sentences, too. The
  ///   client's answer gets only the sources.
  public func tail(_ sources: [PromptDocuments.Source], hasVerdicts: Bool) -> String {
    var used = cited
    used.formUnion(claims.filter { $0.verdict == .supported }.compactMap(\.source))
    var lines: [String] = []
    if !used.isEmpty {
      let names = used.sorted().filter { sources.indices.contains($0 - 1) }
        .map { "[\($0)] \(sources[$0 - 1].name)" }
      lines.append("Sources: " + names.joined(separator: ", "))
    }
    if hasVerdicts {
      lines += quotedClaims(.contradicted, "The sources say otherwise than this")
      lines += quotedClaims(.unsupported, "Not found in the sources")
    }
    return lines.joined(separator: "\n")
  }

  private func quotedClaims(_ verdict: Verdict, _ head: String) -> [String] {
    let texts = claims.filter { $0.verdict == verdict }.prefix(Self.maximumQuotations)
    return texts.map { "\(head): \"\($0.text.cut(toBytes: Self.quoteBytes))\"" }
  }
}
