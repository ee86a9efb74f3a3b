import Text

/// Splits several commands in running text: one per sentence, or clauses of one sentence.
enum CommandSplit {
  static func find(_ query: String) -> Split? {
    let sentences = Sentences.split(query)
    var before: [String] = []
    var commands: [String] = []
    for sentence in sentences {
      let clauses = clauses(of: sentence)
      if clauses.isEmpty {
        // A sentence after a command belongs to that command. Sentences before the first command
        // apply to all commands.
        if commands.isEmpty {
          before.append(sentence)
        } else {
          commands[commands.count - 1] += " " + sentence
        }
      } else {
        commands += clauses
      }
    }
    guard commands.count > 1 else { return nil }
    let shared = before.joined(separator: " ")
    let parts = commands.prefix(Split.foundParts).enumerated().map { place, command in
      Split.Part(
        command, shared: shared,
        needs: PartReferences.needs(of: command, at: place, hasContext: false))
    }
    return Split(parts: parts, merge: .concatenate, kind: "tasks", readsQuery: true)
  }

  /// Returns the commands of a sentence, each with its object. A question counts as one command.
  /// Empty if the sentence is neither a command nor a question.
  static func clauses(of sentence: String) -> [String] {
    if isQuestion(sentence) { return [sentence] }
    let words = sentence.split(separator: " ")
    let bare = words.map { String($0.lowercased().filter { $0.isLetter }) }
    guard let first = bare.firstIndex(where: { !SplitWords.leads.contains($0) }),
      SplitWords.commands.contains(bare[first])
    else { return [] }
    var starts = [0]
    for place in words.indices where place > first + 2 && SplitWords.commands.contains(bare[place])
    {
      if joins(words[place - 1], bare[place - 1]) { starts.append(place) }
    }
    let clauses = starts.enumerated().map { number, start in
      let end = number + 1 < starts.count ? starts[number + 1] : words.count
      return trimmed(words[start..<end])
    }
    // "Summarise and critique this" is one task with two verbs.
    guard clauses.allSatisfy({ $0.lowercasedWords.count > 2 }) else { return [sentence] }
    return clauses
  }

  private static func isQuestion(_ sentence: String) -> Bool {
    guard sentence.hasSuffix("?"), let first = sentence.lowercasedWords.first else { return false }
    return SplitWords.questionWords.contains(first)
  }

  /// True if the word before a command starts a new clause.
  private static func joins(_ word: Substring, _ bare: String) -> Bool {
    ["and", "then", "also", "finally"].contains(bare) || word.hasSuffix(",") || word.hasSuffix(";")
  }

  private static func trimmed(_ words: ArraySlice<Substring>) -> String {
    var words = words
    while let last = words.last,
      ["and", "then", "also", "finally"].contains(last.lowercased().filter { $0.isLetter })
    {
      words.removeLast()
    }
    var text = words.joined(separator: " ")
    while let last = text.last, last == "," || last == ";" { text.removeLast() }
    return text
  }
}
