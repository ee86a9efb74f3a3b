/// Renders a plan as a tree for people and as a graph for drawing programs.
extension Plan {
  /// Tree from the answer down to its inputs, with one task per line.
  ///
  /// A task with several readers is shown in full under the first of them.
  public var text: String {
    var lines = ["\(pattern): \(tasks.count) task\(tasks.count == 1 ? "" : "s")"]
    if !reason.isEmpty { lines.append("why: \(Self.line(reason, atMost: 200))") }
    var places: [TaskID: Int] = [:]
    for (place, task) in tasks.enumerated() { places[task.id] = place }
    var shown: Set<TaskID> = []
    // A plan that was not validated may have cycles, so a task that was shown is not entered again.
    var open: [(id: TaskID, stem: String, isLast: Bool, isRoot: Bool)] = [(sink, "", true, true)]
    // Expanded tasks may have no readers left. They still belong to the plan.
    let read = Set(tasks.flatMap { $0.inputs.map(\.from) })
    for task in tasks.reversed() where !read.contains(task.id) && task.id != sink {
      open.insert((task.id, "", true, true), at: 0)
    }
    while let next = open.popLast() {
      let branch = next.isRoot ? "" : next.isLast ? "└─ " : "├─ "
      guard let place = places[next.id] else { continue }
      let task = tasks[place]
      guard shown.insert(task.id).inserted else {
        lines.append("\(next.stem)\(branch)\(Self.line(task.id.name, atMost: 128)) (see above)")
        continue
      }
      lines.append("\(next.stem)\(branch)\(Self.summary(of: task))")
      let stem = next.isRoot ? "" : next.stem + (next.isLast ? "   " : "│  ")
      for (index, edge) in task.inputs.enumerated().reversed() {
        open.append((edge.from, stem, index == task.inputs.count - 1, false))
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Flowchart for Mermaid.
  public var mermaid: String {
    var lines = ["flowchart TD"]
    let names = nodeNames
    for (place, task) in tasks.enumerated() {
      let label = Self.labels(of: task).map(Self.mermaidText).joined(separator: "<br/>")
      let (open, close) = task.merge.isMechanical ? ("([\"", "\"])") : ("[\"", "\"]")
      lines.append("  t\(place)\(open)\(label)\(close)")
    }
    for (place, task) in tasks.enumerated() {
      for edge in task.inputs {
        guard let from = names[edge.from] else { continue }
        lines.append("  t\(from) -->|\"\(Self.mermaidText(edge.name))\"| t\(place)")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Digraph in Graphviz's dot language.
  public var graphviz: String {
    var lines = ["digraph plan {", "  rankdir=TB;", "  node [shape=box];"]
    let names = nodeNames
    for (place, task) in tasks.enumerated() {
      let label = Self.labels(of: task).map(Self.graphvizText).joined(separator: "\\n")
      let shape = task.merge.isMechanical ? ", shape=ellipse" : ""
      let pen = task.id == sink ? ", penwidth=2" : ""
      lines.append("  t\(place) [label=\"\(label)\"\(shape)\(pen)];")
    }
    for (place, task) in tasks.enumerated() {
      for edge in task.inputs {
        guard let from = names[edge.from] else { continue }
        lines.append("  t\(from) -> t\(place) [label=\"\(Self.graphvizText(edge.name))\"];")
      }
    }
    return (lines + ["}"]).joined(separator: "\n") + "\n"
  }

  /// Number of each task's node in a graph. Nodes are not named by task ids, which may contain text
  /// from a model or client.
  private var nodeNames: [TaskID: Int] {
    Dictionary(tasks.enumerated().map { ($1.id, $0) }) { first, _ in first }
  }

  private static func labels(of task: PlanTask) -> [String] {
    var labels = [task.id.name, work(of: task)]
    if let model = task.model { labels.append(model.name) }
    if let expansion = task.expansion { labels.append("then: \(expansion)") }
    return labels
  }

  private static func work(of task: PlanTask) -> String {
    if task.merge.isMechanical { return task.merge.rawValue }
    return task.merge == .none
      ? task.role.rawValue : "\(task.role.rawValue), \(task.merge.rawValue)"
  }

  private static func summary(of task: PlanTask) -> String {
    var facts = [work(of: task)]
    if let kind = task.kind { facts.append(kind.rawValue) }
    switch task.asking {
    case .role: break
    case .client: facts.append("the client's own request")
    case .variation: facts.append("the client's request, sampled anew")
    }
    if task.stage > 0 { facts.append("stage \(task.stage)") }
    if let model = task.model { facts.append("model \(model)") }
    if let profile = task.profile { facts.append(profile.rawValue) }
    if let tokens = task.maxTokens { facts.append("at most \(tokens) tokens") }
    if let quorum = task.quorum { facts.append("needs \(quorum) of \(task.inputs.count)") }
    if task.onFailure != .fail { facts.append("on failure: \(task.onFailure.rawValue)") }
    if !task.documents.isEmpty {
      let part = task.documentPart.map { " (part \($0.number) of \($0.count))" } ?? ""
      facts.append("reads " + task.documents.prefix(3).joined(separator: ", ") + part)
    }
    if let expansion = task.expansion { facts.append("then: \(expansion)") }
    let instruction = task.instruction.isEmpty ? "" : " “\(line(task.instruction, atMost: 80))”"
    return line("\(task.id): \(facts.joined(separator: " · "))", atMost: 400) + instruction
  }

  /// Returns the text on one line, cut to `bytes`.
  private static func line(_ text: String, atMost bytes: Int) -> String {
    // Cut the text first, because an instruction may be thousands of times longer than the text
    // shown.
    let head = text.cut(toBytes: 8 * bytes)
    let flat = head.split(whereSeparator: { $0.isWhitespace || $0.isControl }).joined(
      separator: " ")
    let isWhole = flat.utf8.count <= bytes && head.utf8.count == text.utf8.count
    return isWhole ? flat : flat.cut(toBytes: bytes) + "…"
  }

  /// Escapes most punctuation as entities, because Mermaid interprets some of it in labels.
  private static func mermaidText(_ text: String) -> String {
    var result = ""
    for scalar in line(text, atMost: 128).unicodeScalars {
      let isPlain =
        scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
        || " -_.,:/".unicodeScalars
          .contains(scalar)
        || scalar.value >= 0x80
      result += isPlain ? String(scalar) : "#\(scalar.value);"
    }
    return result
  }

  private static func graphvizText(_ text: String) -> String {
    var result = ""
    // Iterate over code points, because a quotation mark with a combining mark is a `Character`
    // other than `"`, but still ends the label.
    for scalar in line(text, atMost: 128).unicodeScalars {
      if scalar == "\"" || scalar == "\\" { result.unicodeScalars.append("\\") }
      result.unicodeScalars.append(scalar)
    }
    return result
  }
}

extension Character {
  fileprivate var isControl: Bool {
    unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
  }
}
