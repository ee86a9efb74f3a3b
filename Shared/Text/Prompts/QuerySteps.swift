/// Steps of a question that follow each other: "First …, then …, finally …".
enum QuerySteps {
  /// Maximum bytes that are examined. The words stand where the steps are listed.
  private static let maximumBytes = 1_024

  private static let openers: Set<String> = ["abord", "first", "firstly", "primero", "zuerst"]
  private static let followers: Set<String> = [
    "afterwards", "anschließend", "danach", "dann", "después", "enfin", "ensuite", "finally",
    "finalmente", "lastly", "luego", "next", "puis", "schließlich", "then", "zuletzt",
  ]
  /// Words after "next" that make it a date and not a step.
  private static let dates: Set<String> = ["day", "month", "time", "to", "week", "year"]

  /// Number of steps. `nil` means that the question does not number steps with at least two words.
  static func count(_ query: String) -> Int? {
    let words = String(decoding: query.utf8.prefix(maximumBytes), as: UTF8.self).lowercasedWords
    let later = zip(words, words.dropFirst() + [""]).count { word, next in
      followers.contains(word) && !(word == "next" && dates.contains(next))
    }
    guard later > 1 || later == 1 && words.contains(where: openers.contains) else { return nil }
    return later + 1
  }
}
