public import ClusterModel

/// The spans of a trace as an indented tree, each span under its parent.
public struct SpanTree: Sendable {
  public struct Line: Equatable, Sendable {
    /// 0 for a root.
    public var depth: Int
    public var span: SpanRecord
    /// Microseconds since the first span of the trace began.
    public var offsetMicroseconds: UInt64

    /// Attributes that describe attempts at hosts. The key is for example "attempt 1", and the
    /// value is a sentence. Each attribute gets a line of its own.
    public var attempts: [Attribute] {
      span.attributes.filter(AttemptFacts.isAttempt).map { attribute in
        // Another version of Tutti may have written the attribute. A value that this version cannot
        // read is shown as it is.
        Attribute(
          attribute.key, AttemptFacts(attribute.value)?.description ?? attribute.value)
      }
    }

    /// Attributes that do not describe attempts.
    public var facts: [Attribute] { span.attributes.filter { !AttemptFacts.isAttempt($0) } }
  }

  /// Depth first, siblings by start. A span with an unknown parent is a root, because the parent's
  /// record may have been lost.
  public let lines: [Line]

  public init(_ spans: [SpanRecord]) {
    let known = Set(spans.map(\.span))
    let start = spans.map(\.startUnixMicroseconds).min() ?? 0
    var children: [SpanID: [SpanRecord]] = [:]
    for span in spans.sorted(by: Self.isBefore) {
      let isRoot = span.parent == .none || !known.contains(span.parent) || span.parent == span.span
      children[isRoot ? .none : span.parent, default: []].append(span)
    }
    var lines: [Line] = []
    var seen: Set<SpanID> = []
    var open = (children[.none] ?? []).reversed().map { (depth: 0, span: $0) }
    while let (depth, span) = open.popLast() {
      // Records come from other processes and may have a cycle or a repeated id. Lines must not
      // repeat.
      guard seen.insert(span.span).inserted else { continue }
      lines.append(
        Line(depth: depth, span: span, offsetMicroseconds: span.startUnixMicroseconds - start))
      for child in (children[span.span] ?? []).reversed() {
        open.append((depth: depth + 1, span: child))
      }
    }
    self.lines = lines
  }

  private static func isBefore(_ left: SpanRecord, _ right: SpanRecord) -> Bool {
    (left.startUnixMicroseconds, left.span.value) < (right.startUnixMicroseconds, right.span.value)
  }
}
