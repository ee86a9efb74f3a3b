/// Facts about a plan on its dispatch span: which task waited for which, and which tasks did not
/// go as planned. The gateway writes them and `tutti trace` reads them.
///
/// Each fact is a piece of text, and one attribute holds as many pieces as fit into it. The
/// attributes "tasks 1", "tasks 2" … hold dependencies such as `answer<a,b`, and `b^a` for a task
/// `b` that the expansion of `a` added; "departures 1" … hold departures such as
/// `b skipped: its agent was lost`.
public struct PlanSpanFacts: Hashable, Sendable {
  /// The tasks that one task waited for.
  public struct Dependency: Hashable, Sendable {
    public var task: TaskID
    /// The tasks whose outputs `task` reads.
    public var inputs: [TaskID]
    /// The task whose expansion added `task`. `nil` means that the planner's first plan has `task`.
    public var origin: TaskID?

    public init(task: TaskID, inputs: [TaskID] = [], origin: TaskID? = nil) {
      self.task = task
      self.inputs = inputs
      self.origin = origin
    }
  }

  /// A task that was skipped, degraded or failed.
  public struct Departure: Hashable, Sendable, CustomStringConvertible {
    public var task: TaskID
    public var status: TaskStatus
    public var reason: String

    public init(task: TaskID, status: TaskStatus, reason: String = "") {
      self.task = task
      self.status = status
      self.reason = reason
    }

    public var description: String {
      "\(task) \(status.rawValue)" + (reason.isEmpty ? "" : ": \(reason)")
    }
  }

  public var dependencies: [Dependency]
  public var departures: [Departure]

  public init(dependencies: [Dependency] = [], departures: [Departure] = []) {
    self.dependencies = dependencies
    self.departures = departures
  }

  /// Maximum attributes for each kind of fact. A span has at most 32 attributes, and its other
  /// facts need up to eight.
  private static let departureAttributes = 8
  private static let dependencyAttributes = 16

  // MARK: - Encoding

  /// - Parameter limit: maximum bytes of a value with several facts. A span's recorder cuts values
  ///   at 2,048 bytes.
  public func attributes(limit: Int = 2_000) -> [Attribute] {
    Self.attributes(
      "departures", departures.map(Self.text), limit, atMost: Self.departureAttributes)
      + Self.attributes(
        "tasks", dependencies.map(Self.text), limit, atMost: Self.dependencyAttributes)
  }

  private static func attributes(
    _ key: String, _ facts: [String], _ limit: Int, atMost count: Int
  ) -> [Attribute] {
    var values: [String] = []
    for fact in facts {
      if let last = values.last, last.utf8.count + fact.utf8.count < limit {
        values[values.count - 1] = "\(last);\(fact)"
      } else {
        values.append(fact)
      }
    }
    return values.prefix(count).enumerated().map { Attribute("\(key) \($0 + 1)", $1) }
  }

  private static func text(_ dependency: Dependency) -> String {
    name(dependency.task)
      + (dependency.inputs.isEmpty
        ? "" : "<" + dependency.inputs.map(name).joined(separator: ","))
      + (dependency.origin.map { "^" + name($0) } ?? "")
  }

  private static func text(_ departure: Departure) -> String {
    name(departure.task) + " " + departure.status.rawValue
      + (departure.reason.isEmpty ? "" : ": " + SpanText.escaped(departure.reason, ";"))
  }

  private static func name(_ task: TaskID) -> String { SpanText.escaped(task.name, ";<,^ ") }

  // MARK: - Decoding

  public init(_ attributes: [Attribute]) {
    self.init(
      dependencies: Self.facts("tasks", attributes).compactMap(Self.dependency),
      departures: Self.facts("departures", attributes).compactMap(Self.departure))
  }

  private static func facts(_ key: String, _ attributes: [Attribute]) -> [Substring] {
    attributes.numbered(key).flatMap { SpanText.split($0.value[...], ";") }
  }

  private static func dependency(_ text: Substring) -> Dependency? {
    let (rest, origin) = SpanText.halves(text, "^")
    let (task, inputs) = SpanText.halves(rest, "<")
    guard !task.isEmpty else { return nil }
    return Dependency(
      task: id(task), inputs: inputs.map { SpanText.split($0, ",").map(id) } ?? [],
      origin: origin.map(id))
  }

  private static func departure(_ text: Substring) -> Departure? {
    let (task, rest) = SpanText.halves(text, " ")
    guard !task.isEmpty, let rest else { return nil }
    let (word, reason) = SpanText.halves(rest, ":")
    guard let status = TaskStatus(rawValue: String(word)) else { return nil }
    let written = Substring((reason ?? "").utf8.dropFirst())
    return Departure(task: id(task), status: status, reason: SpanText.unescaped(written))
  }

  private static func id(_ text: Substring) -> TaskID { TaskID(SpanText.unescaped(text)) }
}
