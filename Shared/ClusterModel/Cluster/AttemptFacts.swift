/// One attempt at a host, for traces. The gateway writes attempts to its `request` span and an
/// agent to its `work` span. `tutti trace` reads both.
///
/// The attribute "attempt 1" of a span holds the first attempt as fields with `;` between them:
/// `host=embedded-2;role=first;outcome=beaten;tokens=0;started_ms=0;ended_ms=310`.
public struct AttemptFacts: Hashable, Sendable {
  public var host: HostID
  /// Why the host was asked: `first`, `speculative`, `retry` or `resumption`.
  public var role: String
  /// `answered`, `beaten`, or the kind of failure.
  public var outcome: String
  /// Additions by Tutti that were left out of the request, for example "without stream_options".
  public var changes: [String]
  /// Tokens that the host produced.
  public var tokens: Int
  /// `started` and `ended` are measured from the start of the inference.
  public var started: Duration
  public var ended: Duration
  /// Whether the host was asked although its breaker was open, because no other host was left.
  public var isPanic: Bool
  /// Why this host was preferred to equal ones, for example "cheapest of 3 equal hosts (free; others
  /// from 0.6/2.4)". Empty if nothing decided between them.
  public var chosen: String
  /// Why Tutti ended the host's answer: `repetition`. Empty if it did not.
  public var ending: String
  /// Why the attempt failed; empty if it did not.
  public var reason: String

  public init(
    host: HostID, role: String, outcome: String, changes: [String] = [], tokens: Int = 0,
    started: Duration, ended: Duration, isPanic: Bool = false, chosen: String = "",
    ending: String = "",
    reason: String = ""
  ) {
    self.host = host
    self.role = role
    self.outcome = outcome
    self.changes = changes
    self.tokens = tokens
    self.started = started
    self.ended = ended
    self.isPanic = isPanic
    self.chosen = chosen
    self.ending = ending
    self.reason = reason
  }

  /// The facts without the hosts' prices, for clients that may not read them. `chosen` has its
  /// prices in parentheses at its end.
  public var withoutPrices: AttemptFacts {
    var facts = self
    let words = chosen.prefix { $0 != "(" }
    facts.chosen = String(words.last == " " ? words.dropLast() : words)
    return facts
  }

  /// Whether the attribute holds an attempt.
  public static func isAttempt(_ attribute: Attribute) -> Bool {
    attribute.key.hasPrefix(key + " ")
  }

  /// The attribute without the hosts' prices, for clients that may not read them. Attributes that
  /// hold no attempt stay.
  public static func withoutPrices(in attribute: Attribute) -> Attribute {
    guard isAttempt(attribute), let facts = AttemptFacts(attribute.value), !facts.chosen.isEmpty
    else { return attribute }
    return Attribute(attribute.key, facts.withoutPrices.text)
  }

  private static let key = "attempt"

  // MARK: - Encoding

  public static func attributes(_ attempts: [AttemptFacts]) -> [Attribute] {
    attempts.enumerated().map { Attribute("\(key) \($0 + 1)", $1.text) }
  }

  private var text: String {
    var fields = [
      ("host", SpanText.escaped(host.name, ";")), ("role", role), ("outcome", outcome),
      ("tokens", "\(tokens)"), ("started_ms", "\(started.wholeMilliseconds)"),
      ("ended_ms", "\(ended.wholeMilliseconds)"),
    ]
    if !changes.isEmpty {
      let changes = changes.map { SpanText.escaped($0, ";,") }
      fields.append(("changes", changes.joined(separator: ",")))
    }
    if isPanic { fields.append(("breaker", "open")) }
    if !chosen.isEmpty { fields.append(("chosen", SpanText.escaped(chosen, ";"))) }
    if !ending.isEmpty { fields.append(("ending", SpanText.escaped(ending, ";"))) }
    // The reason comes last, because a span's recorder cuts long values.
    if !reason.isEmpty { fields.append(("reason", SpanText.escaped(reason, ";"))) }
    return fields.map { "\($0)=\($1)" }.joined(separator: ";")
  }

  // MARK: - Decoding

  public static func all(in attributes: [Attribute]) -> [AttemptFacts] {
    attributes.numbered(key).compactMap { AttemptFacts($0.value) }
  }

  /// - Parameter text: value of an attribute. `nil` is returned if it has no host, role or outcome.
  public init?(_ text: String) {
    var fields: [Substring: Substring] = [:]
    for field in SpanText.split(text[...], ";") {
      let (name, value) = SpanText.halves(field, "=")
      if let value { fields[name] = value }
    }
    guard let host = fields["host"], let role = fields["role"], let outcome = fields["outcome"]
    else { return nil }
    func number(_ name: Substring) -> Int { fields[name].flatMap { Int($0) } ?? 0 }
    self.init(
      host: HostID(SpanText.unescaped(host)), role: String(role), outcome: String(outcome),
      changes: fields["changes"].map { SpanText.split($0, ",").map(SpanText.unescaped) } ?? [],
      tokens: number("tokens"), started: .milliseconds(number("started_ms")),
      ended: .milliseconds(number("ended_ms")), isPanic: fields["breaker"] == "open",
      chosen: SpanText.unescaped(fields["chosen"] ?? ""),
      ending: SpanText.unescaped(fields["ending"] ?? ""),
      reason: SpanText.unescaped(fields["reason"] ?? ""))
  }
}

/// Sentence for operators: "embedded-2 first beaten, 0 tokens, 0–310 ms".
extension AttemptFacts: CustomStringConvertible {
  public var description: String {
    var facts =
      "\(host) \(role) \(outcome), \(counted(tokens, "token")), "
      + "\(started.wholeMilliseconds)–\(ended.wholeMilliseconds) ms"
    for change in changes { facts += ", \(change)" }
    if isPanic { facts += ", asked although its breaker was open" }
    if !chosen.isEmpty { facts += ", \(chosen)" }
    facts += endingText
    return reason.isEmpty ? facts : "\(facts): \(reason)"
  }

  private var endingText: String {
    switch ending {
    case "": ""
    case "repetition": ", ended because it repeated itself"
    default: ", ended by \(ending)"
    }
  }
}
