public import ClusterModel

/// Draws a running plan as a tree for a terminal.
/// The answer's task is at the top, and each task has its inputs below it. A line shows the task's
/// state, role, host and time.
public struct ProgressTree: Sendable {
  private enum State: Equatable {
    case waiting, running, writing
    case over(status: String)
  }

  private struct Branch {
    var inputs: [String] = []
    var role: String?
    var host: String?
    var reason = ""
    var tokens: Int?
    var state = State.waiting
    var began: Instant?
    var took: Duration?
  }

  /// A plan has at most 64 tasks, so more than 256 names are an error.
  private static let maximumTasks = 256
  private static let spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
  /// Time per frame of the spinner.
  public static let frame = Duration.milliseconds(100)

  private var pattern = ""
  private var reason = ""
  private var order: [String] = []
  private var tasks: [String: Branch] = [:]
  private let began: Instant

  /// - Parameter now: when the question was sent.
  public init(now: Instant) { began = now }

  public var isEmpty: Bool { tasks.isEmpty }

  public mutating func take(_ step: ProgressStep, now: Instant) {
    pattern = step.pattern ?? pattern
    for outline in step.tasks ?? [] {
      change(outline.task) {
        $0.role = outline.role
        $0.inputs = outline.inputs ?? []
      }
    }
    guard let name = step.task else {
      reason = step.reason ?? reason
      return
    }
    switch ProgressStep.Event(rawValue: step.event) {
    case .planned, .expanded, nil: break
    case .started:
      change(name) {
        $0.state = .running
        $0.role = step.role ?? $0.role
        $0.host = nil
        $0.began = now
        $0.took = nil
      }
    case .firstToken:
      change(name) {
        $0.state = .writing
        $0.role = step.role ?? $0.role
        $0.host = step.host
        $0.began = $0.began ?? now
      }
    case .ended:
      change(name) {
        $0.state = .over(status: step.status ?? "done")
        $0.role = step.role ?? $0.role
        $0.host = step.host ?? $0.host
        $0.reason = step.reason ?? ""
        $0.tokens = step.tokens
        $0.took =
          step.totalMilliseconds.map { .milliseconds($0) } ?? $0.began.map { $0.duration(to: now) }
      }
    }
  }

  private mutating func change(_ name: String, _ change: (inout Branch) -> Void) {
    if tasks[name] == nil {
      guard tasks.count < Self.maximumTasks else { return }
      order.append(name)
    }
    change(&tasks[name, default: Branch()])
  }

  // MARK: - Drawing

  /// - Parameters:
  ///   - width: columns. A longer line is cut, because a wrapped line could not be erased.
  ///   - height: maximum number of lines. If lines are left out, the last line counts them.
  public func lines(now: Instant, width: Int, height: Int) -> [String] {
    guard !isEmpty else { return [] }
    var head = pattern.isEmpty ? "plan" : pattern
    head += "  " + Self.seconds(began.duration(to: now))
    if !reason.isEmpty { head += "  \(reason)" }
    var lines = [head]
    var seen: Set<String> = []
    for root in roots { draw(root, "", "", now, &seen, &lines) }
    // Tasks without a path to a root, because of a cycle or a lost progress line, are drawn here.
    for name in order where !seen.contains(name) { draw(name, "", "", now, &seen, &lines) }
    if lines.count > max(height, 2) {
      let left = lines.count - (max(height, 2) - 1)
      lines = lines.prefix(max(height, 2) - 1) + ["… and \(left) more"]
    }
    return lines.map { String(TextTable.printable($0).prefix(max(width, 8))) }
  }

  private var roots: [String] {
    let read = Set(tasks.values.flatMap(\.inputs))
    return order.filter { !read.contains($0) }
  }

  /// Draws each task once, under the first task that reads it. The depth of a plan bounds the
  /// recursion.
  private func draw(
    _ name: String, _ branch: String, _ indent: String, _ now: Instant,
    _ seen: inout Set<String>, _ lines: inout [String]
  ) {
    guard let task = tasks[name], seen.insert(name).inserted else { return }
    lines.append(branch + line(name, task, now))
    let inputs = task.inputs.filter { tasks[$0] != nil && !seen.contains($0) }
    for (index, input) in inputs.enumerated() {
      let isLast = index == inputs.count - 1
      draw(
        input, indent + (isLast ? "└ " : "├ "), indent + (isLast ? "  " : "│ "), now, &seen, &lines)
    }
  }

  private func line(_ name: String, _ task: Branch, _ now: Instant) -> String {
    var words = [sign(task.state, now) + " " + name]
    if let role = task.role { words.append(role) }
    if let host = task.host { words.append("on \(host)") }
    switch task.state {
    case .waiting: break
    case .running, .writing:
      if let began = task.began { words.append(Self.seconds(began.duration(to: now))) }
    case .over(let status):
      if status != "done" { words.append(status) }
      if let tokens = task.tokens, tokens > 0 { words.append("\(tokens) tokens") }
      if let took = task.took { words.append(Self.seconds(took)) }
      if !task.reason.isEmpty { words.append(task.reason) }
    }
    return words.joined(separator: "  ")
  }

  private func sign(_ state: State, _ now: Instant) -> String {
    switch state {
    case .waiting: "·"
    case .running, .writing:
      Self.spinner[
        Int(now.sinceStart.wholeMilliseconds / Self.frame.wholeMilliseconds) % Self.spinner.count]
    case .over("done"): "✔"
    case .over("degraded"): "~"
    case .over("skipped"): "–"
    case .over: "✘"
    }
  }

  /// Formats a duration, for example "1.2 s".
  private static func seconds(_ duration: Duration) -> String {
    let tenths = max(0, duration.wholeMilliseconds) / 100
    return "\(tenths / 10).\(tenths % 10) s"
  }
}

/// Lines on a terminal. New lines replace the earlier ones by VT100 escape sequences.
public struct TerminalFrame: Sendable {
  private var drawn = 0

  public init() {}

  public mutating func draw(_ lines: [String]) -> String {
    let erased = erase()
    drawn = lines.count
    return erased + lines.map { "\($0)\n" }.joined()
  }

  /// Moves the cursor to the first drawn line and clears everything below it.
  public mutating func erase() -> String {
    defer { drawn = 0 }
    return drawn == 0 ? "" : "\u{1B}[\(drawn)A\r\u{1B}[J"
  }
}
