import ClusterModel

/// Says in words how far a task's inputs agree: a small model makes nothing of 0.43, and a vote of
/// two against one is no reason to leave out what the one says.
enum InputWeights {
  /// - Returns: empty when nobody compared the inputs, or there is nothing to compare.
  static func text(_ inputs: [TaskOrder.NamedInput]) -> String {
    let weighed = inputs.filter { $0.weightMilli != nil }
    guard weighed.count > 1 else { return "" }
    let others = weighed.count - 1
    // A weight is how far the others say the same; times the others, how many of them do.
    let agreeing = weighed.map { input in
      (max(0, min(1_000, input.weightMilli ?? 0)) * others + 500) / 1_000
    }
    let most = agreeing.max() ?? 0
    let all = word(weighed.count)
    if agreeing.allSatisfy({ $0 == others }) {
      return weighed.count == 2
        ? "Both say much the same." : "All \(all) say much the same."
    }
    let head = "\(all) texts follow that differ from each other."
    guard most > 0 else {
      return capitalised(head) + " Judge each by what it says."
    }
    let leaders = weighed.indices.filter { agreeing[$0] == most }
    guard leaders.count == most + 1, leaders.count < weighed.count else {
      return capitalised(all) + " texts follow; some of them say much the same, others differ. "
        + "Judge each by what it says."
    }
    let rest = weighed.indices.filter { !leaders.contains($0) }.map { weighed[$0].name }
    return
      "\(capitalised(word(leaders.count))) of \(all) say much the same. \(list(rest)) "
      + (rest.count == 1 ? "says" : "say")
      + " something else: do not pass over what may be right in it."
  }

  private static let words = [
    "none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
  ]

  private static func word(_ count: Int) -> String {
    words.indices.contains(count) ? words[count] : "\(count)"
  }

  private static func capitalised(_ text: String) -> String {
    text.prefix(1).uppercased() + text.dropFirst()
  }

  private static func list(_ names: [String]) -> String {
    guard names.count > 1, let last = names.last else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " and " + last
  }
}
