import ClusterModel
import Text

/// A critic's review of a draft.
struct Review: Equatable {
  var wantsRepair: Bool
  var issues: [Issue]

  struct Issue: Equatable {
    /// Role that can fix the issue.
    var role: AgentRole
    var text: String
  }

  static let mostIssues = 8
  static let issueBytes = 300

  static let schema = """
    {"type":"object","required":["verdict","quality","accuracy","coherence","issues"],"properties":\
    {"verdict":{"enum":["accept","repair"]},"quality":{"type":"integer","minimum":1,"maximum":5},\
    "accuracy":{"type":"integer","minimum":1,"maximum":5},"coherence":{"type":"integer","minimum":1,\
    "maximum":5},"issues":{"type":"array","maxItems":8,"items":{"type":"object","required":["issue"],\
    "properties":{"kind":{"enum":["facts","reasoning","wording","code"]},"issue":{"type":"string",\
    "maxLength":300},"fix":{"type":"string","maxLength":300}}}}}}
    """

  /// - Returns: `nil` if the output has neither a verdict nor marks.
  init?(_ output: String) {
    guard let json = ModelJSON(output) else { return nil }
    let marks = ["quality", "accuracy", "coherence"].compactMap { json.integer($0, in: json.root) }
    let verdict = json.text("verdict", in: json.root, atMost: 40)?.lowercased()
    guard verdict != nil || !marks.isEmpty else { return nil }
    var issues: [Issue] = []
    if let list = json.document.value("issues", in: json.root) {
      for entry in json.document.elements(of: list).prefix(Self.mostIssues) {
        if let issue = Issue(entry, in: json) { issues.append(issue) }
      }
    }
    self.issues = issues
    // A mark of 2 or less with an issue asks for a repair, whatever the verdict.
    let isBad = marks.contains { $0 <= 2 }
    wantsRepair = !issues.isEmpty && (verdict == "repair" || isBad)
  }

  /// Role that repairs the draft: the role of most issues. Ties go to the first.
  var role: AgentRole {
    var best = (role: AgentRole.reasoning, count: 0)
    for issue in issues {
      let count = issues.count { $0.role == issue.role }
      if count > best.count { best = (issue.role, count) }
    }
    return best.role
  }
}

extension Review.Issue {
  /// - Parameter value: an object as in the schema, or a string.
  fileprivate init?(_ value: JSONValue, in json: ModelJSON) {
    if let text = json.document.string(value)?.trimmingSpace.cut(toBytes: Review.issueBytes) {
      guard !text.isEmpty else { return nil }
      self.text = text
      role = Self.role(of: nil, text)
      return
    }
    guard let issue = json.text("issue", in: value, atMost: Review.issueBytes) else { return nil }
    let fix = json.text("fix", in: value, atMost: Review.issueBytes)
    text = fix.map { "\(issue) Right is: \($0)" } ?? issue
    role = Self.role(of: json.text("kind", in: value, atMost: 40)?.lowercased(), issue)
  }

  private static func role(of kind: String?, _ text: String) -> AgentRole {
    switch kind {
    case "facts": return .research
    case "reasoning": return .reasoning
    case "wording": return .creative
    case "code": return .code
    default: break
    }
    let features = QueryFeatures(text)
    if features.isAboutCode { return .code }
    return features.reasoning > 0 || features.facts == 0 ? .reasoning : .research
  }
}
