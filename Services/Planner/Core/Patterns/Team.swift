import ClusterModel
import Text

/// The specialists for a query, with their briefs and dependencies.
struct Team: Equatable {
  var specialists: [Specialist]
  /// Criteria of the review.
  var criteria: [String] = []

  struct Specialist: Equatable {
    var role: AgentRole
    var brief: String
    /// Indices of the specialists whose work this one reads. They are smaller than its own index.
    var needs: [Int] = []
  }

  static let roles: [AgentRole] = [.research, .reasoning, .creative, .code]
  static let mostSpecialists = 6
  static let mostCriteria = 6
  static let briefBytes = 600
  static let criterionBytes = 200
  /// Maximum length of a dependency chain. Each step waits for a whole answer. With a draft, two
  /// repairs and their reviews, the plan still fits the depth limit.
  static let mostSteps = 4

  static let schema = """
    {"type":"object","required":["specialists"],"properties":{"specialists":{"type":"array",\
    "minItems":1,"maxItems":6,"items":{"type":"object","required":["name","role","brief"],\
    "properties":{"name":{"type":"string","maxLength":40},"role":{"enum":["research","reasoning",\
    "creative","code"]},"brief":{"type":"string","maxLength":600},"needs":{"type":"array",\
    "maxItems":5,"items":{"type":"string"}}}}},"criteria":{"type":"array","maxItems":6,"items":\
    {"type":"string","maxLength":200}}}}
    """
}

// MARK: - From the coordinator's analysis

extension Team {
  /// Reads the team from the coordinator's analysis.
  ///
  /// It drops unknown roles, empty briefs, unknown needs and needs that form a cycle.
  ///
  /// - Returns: `nil` if no specialist remains.
  init?(analysis: String) {
    guard let json = ModelJSON(analysis),
      let list = json.document.value("specialists", in: json.root)
    else { return nil }
    var proposed: [(name: String, specialist: Specialist, needs: [String])] = []
    for (place, entry) in json.document.elements(of: list).prefix(32).enumerated()
    where proposed.count < Self.mostSpecialists {
      guard let name = json.text("role", in: entry, atMost: 40),
        let role = AgentRole(rawValue: name.lowercased()), Self.roles.contains(role),
        let brief = json.text("brief", in: entry, atMost: Self.briefBytes)
      else { continue }
      proposed.append(
        (
          (json.text("name", in: entry, atMost: 40) ?? "\(place)").lowercased(),
          Specialist(role: role, brief: brief),
          json.texts("needs", in: entry, atMost: Self.mostSpecialists, bytes: 40)
            .map { $0.lowercased() }
        ))
    }
    guard !proposed.isEmpty else { return nil }
    let order = WorkOrder(
      needs: proposed.map { one in
        one.needs.compactMap { need in proposed.firstIndex { $0.name == need } }
      }, mostSteps: Self.mostSteps)
    specialists = order.sorted.map { index in
      var one = proposed[index].specialist
      one.needs = order.needs[index].compactMap { order.sorted.firstIndex(of: $0) }.sorted()
      return one
    }
    criteria = json.texts(
      "criteria", in: json.root, atMost: Self.mostCriteria, bytes: Self.criterionBytes)
  }
}

/// Topological order of items. Needs that would close a cycle are dropped, in list order.
struct WorkOrder {
  /// Each index once, after the indices that it needs.
  private(set) var sorted: [Int] = []
  /// The needs of each index that were not dropped.
  private(set) var needs: [[Int]]

  /// - Parameter mostSteps: maximum length of a chain. A need that would exceed it is dropped.
  init(needs proposed: [[Int]], mostSteps: Int) {
    needs = proposed.map { _ in [] }
    for (index, wishes) in proposed.enumerated() {
      var seen: Set<Int> = []
      for need in wishes
      where need != index && proposed.indices.contains(need) && seen.insert(need).inserted {
        needs[index].append(need)
        if steps == nil || steps ?? 0 > mostSteps { needs[index].removeLast() }
      }
    }
    var open = Array(proposed.indices)
    while let place = open.firstIndex(where: { needs[$0].allSatisfy(sorted.contains) }) {
      sorted.append(open.remove(at: place))
    }
  }

  /// Length of the longest chain. `nil` means a cycle.
  private var steps: Int? {
    var depth = [Int](repeating: 1, count: needs.count)
    // Without a cycle, the depths are final after as many passes as there are items.
    for pass in 0...needs.count {
      var isFinal = true
      for index in needs.indices {
        for need in needs[index] where depth[index] < depth[need] + 1 {
          depth[index] = depth[need] + 1
          isFinal = false
        }
      }
      if isFinal { return depth.max() ?? 0 }
      if pass == needs.count { return nil }
    }
    return nil
  }
}

// MARK: - From the query's words

extension Team {
  /// Makes a team from the query's words if the analysis is unusable. The choice is deterministic.
  init(suggestedBy basis: PlanBasis) {
    let features = basis.features
    var first: [Specialist] = []
    if !basis.request.documents.isEmpty || features.facts + features.extraction > 0 {
      first.append(Specialist(role: .research, brief: Brief.facts))
    }
    if features.reasoning > 0 || features.dispute > 0 {
      first.append(Specialist(role: .reasoning, brief: Brief.steps))
    }
    var then: [Specialist] = []
    let needs = Array(first.indices)
    if features.isAboutCode {
      then.append(Specialist(role: .code, brief: Brief.code, needs: needs))
    }
    if features.creative > 0 {
      then.append(Specialist(role: .creative, brief: Brief.wording, needs: needs))
    }
    specialists = first + then
    if specialists.isEmpty {
      specialists = [
        Specialist(role: .research, brief: Brief.facts),
        Specialist(role: .reasoning, brief: Brief.steps),
      ]
    }
  }

  /// True if the brief is one of the planner's own, and not a model's.
  static func isOurs(_ brief: String) -> Bool {
    [Brief.facts, Brief.steps, Brief.code, Brief.wording].contains(brief)
  }

  private enum Brief {
    static let facts = "collect the facts that matter for it, and say how sure each of them is"
    static let steps = "work out step by step what follows, and check each step"
    static let code = "write the program text that it asks for, with its edge cases"
    static let wording = "find the idea, the tone and the wording for it"
  }

  /// Adds a research specialist if no specialist would read the documents.
  mutating func ensureReader(of documents: [DocumentFacts]) {
    guard !documents.isEmpty, !specialists.contains(where: { $0.role == .research }) else { return }
    if specialists.count == Self.mostSpecialists { specialists.removeLast() }
    for index in specialists.indices {
      specialists[index].needs = specialists[index].needs.map { $0 + 1 }
    }
    specialists.insert(Specialist(role: .research, brief: Brief.facts), at: 0)
  }
}
