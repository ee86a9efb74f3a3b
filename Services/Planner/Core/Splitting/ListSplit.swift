import Text

/// Splits a list whose items are tasks or things to treat alike.
enum ListSplit {
  static func find(_ query: String) -> Split? {
    if let outline = QueryOutline(lists: query) { return split(outline) }
    if let outline = QueryOutline(inline: query) { return split(outline) }
    return nil
  }

  private static func split(_ outline: QueryOutline) -> Split? {
    guard !isConditions(outline), !isOneWork(outline) else { return nil }
    let areTasks = outline.items.allSatisfy(isTask)
    guard areTasks || isDistributive(outline) else { return nil }
    let closing = closing(outline.after)
    var parts: [Split.Part] = []
    for (place, item) in outline.items.prefix(Split.foundParts).enumerated() {
      let needs = PartReferences.needs(
        of: item, at: place, hasContext: isContext(outline.before))
      parts.append(
        Split.Part(
          areTasks ? item : "- \(item)", shared: outline.before,
          after: closing == nil ? outline.after : "", heading: heading(of: item, isTask: areTasks),
          needs: needs))
    }
    if let closing {
      parts.append(Split.Part(closing, needs: Array(parts.indices)))
    }
    let kind = outline.items.allSatisfy { $0.hasSuffix("?") } ? "questions" : "list items"
    return Split(parts: parts, merge: .concatenate, kind: kind)
  }

  /// True for a question, or a sentence that begins with a command.
  static func isTask(_ item: String) -> Bool {
    if item.contains("?") { return true }
    let words = PartReferences.commandWords(item.lowercasedWords)
    guard let first = words.first else { return false }
    return words.count > 1
      && (SplitWords.commands.contains(first) || ["how", "why"].contains(first))
  }

  /// True for requirements, data or options, which apply together and are not split.
  private static func isConditions(_ outline: QueryOutline) -> Bool {
    let announcement = (Sentences.split(outline.before).last ?? "").lowercasedWords
    let isAnnounced = announcement.suffix(6).contains { SplitWords.conditions.contains($0) }
    let openers = outline.items.count { item in
      item.lowercasedWords.first.map(SplitWords.conditionOpeners.contains) ?? false
    }
    return isAnnounced || openers * 2 > outline.items.count
  }

  /// True for a single text with a list of its contents: "Write a story with these characters: …".
  private static func isOneWork(_ outline: QueryOutline) -> Bool {
    let words = outline.before.lowercasedWords
    if words.contains(where: { ["each", "every", "separate", "separately"].contains($0) }) {
      return false
    }
    return SeriesWords.singleWork(in: words) && !outline.items.allSatisfy(isTask)
  }

  /// True if the text around the list asks for a text about each item.
  private static func isDistributive(_ outline: QueryOutline) -> Bool {
    let words = (outline.before + " " + outline.after).lowercasedWords
    if words.contains("each") || words.contains("every") { return true }
    guard !words.contains(where: SplitWords.overall.contains) else { return false }
    return words.contains {
      SplitWords.proseVerbs.contains($0) || SplitWords.sectioned.contains($0)
    }
  }

  /// Returns the text after the list if it is a task over all items, otherwise `nil`.
  private static func closing(_ after: String) -> String? {
    let words = PartReferences.commandWords(after.lowercasedWords)
    guard let first = words.first, SplitWords.commands.contains(first),
      words.contains(where: SplitWords.closing.contains)
    else { return nil }
    return after
  }

  /// True if items may refer to the text before the list. A sentence that only announces the list
  /// has no content to refer to.
  private static func isContext(_ before: String) -> Bool {
    Sentences.split(before).count { !$0.hasSuffix(":") } > 0
  }

  /// Returns the first line of an item as its heading. `nil` means that the line is too long, or
  /// that the item is a task but no question.
  static func heading(of item: String, isTask: Bool) -> String? {
    let line = item.split(whereSeparator: \.isNewline).first.map(String.init) ?? item
    guard line.utf8.count <= 100 else { return nil }
    return !isTask || line.hasSuffix("?") ? line : nil
  }
}
