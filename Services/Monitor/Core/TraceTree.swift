public import ClusterModel

/// The spans of one trace in reading order. Every span comes after its parent, and siblings are
/// sorted by start time.
public struct TraceTree: Equatable, Sendable {
  public struct Node: Equatable, Sendable {
    public var span: SpanRecord
    /// Depth in the tree. A root has depth 0.
    public var depth: Int
    /// Whether the span is shown as a root although it names a parent. The parent still runs, its
    /// record was lost, or the parents form a cycle.
    public var orphan: Bool

    init(span: SpanRecord, depth: Int, orphan: Bool = false) {
      self.span = span
      self.depth = depth
      self.orphan = orphan
    }
  }

  public let nodes: [Node]

  /// - Parameter spans: spans of one trace, in any order. If spans have the same id, only the first
  ///   counts. A cycle of parents is cut at its earliest span.
  public init(_ spans: [SpanRecord]) {
    var unique: [SpanID: SpanRecord] = [:]
    for span in spans { unique[span.span] = unique[span.span] ?? span }
    func earlier(_ left: SpanRecord, _ right: SpanRecord) -> Bool {
      (left.startUnixMicroseconds, left.span.value)
        < (right.startUnixMicroseconds, right.span.value)
    }
    let ordered = unique.values.sorted(by: earlier)
    let children = Dictionary(grouping: ordered, by: \.parent)

    var nodes: [Node] = []
    var placed: Set<SpanID> = []
    // This code uses a stack instead of recursion, because a chain may be as deep as there are
    // spans.
    func place(_ root: SpanRecord, orphan: Bool) {
      var stack = [Node(span: root, depth: 0, orphan: orphan)]
      while let node = stack.popLast() {
        guard placed.insert(node.span.span).inserted else { continue }
        nodes.append(node)
        for child in (children[node.span.span] ?? []).reversed() {
          stack.append(Node(span: child, depth: node.depth + 1))
        }
      }
    }
    let roots = ordered.filter { $0.parent == .none || unique[$0.parent] == nil }
    for root in roots { place(root, orphan: root.parent != .none) }
    for span in ordered where !placed.contains(span.span) { place(span, orphan: true) }
    self.nodes = nodes
  }
}
