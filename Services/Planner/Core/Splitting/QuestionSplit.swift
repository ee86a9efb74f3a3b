import Text

/// Splits several questions in running text.
enum QuestionSplit {
  static func find(_ query: String) -> Split? {
    let sentences = Sentences.split(query)
    let questions = sentences.indices.filter { sentences[$0].hasSuffix("?") }
    guard questions.count > 1, let first = questions.first, let last = questions.last else {
      return nil
    }
    // Text between the questions may contain commands, which `CommandSplit` handles.
    let between = sentences[first...last].filter { !$0.hasSuffix("?") }
    guard between.isEmpty else { return nil }
    let before = sentences[..<first].joined(separator: " ")
    let after = sentences[(last + 1)...].joined(separator: " ")
    guard !ListSplit.isTask(before) || before.isEmpty else { return nil }
    let parts = questions.prefix(Split.foundParts).enumerated().map { place, index in
      Split.Part(
        sentences[index], shared: before, after: after,
        heading: ListSplit.heading(of: sentences[index], isTask: true),
        needs: PartReferences.needs(
          of: sentences[index], at: place, hasContext: !before.isEmpty))
    }
    return Split(parts: parts, merge: .concatenate, kind: "questions")
  }
}
