import ClusterModel
import Limits
import Text

/// Splits a document that fits no prompt, if the query asks about all of the document.
///
/// If the query asks about less, the agent searches for the passages that matter instead. Only
/// English queries are recognised.
enum LongDocumentSplit {
  static func find(_ basis: PlanBasis) -> Split? {
    let request = basis.request
    guard request.documents.count == 1, let document = request.documents.first,
      asksForAll(request.query)
    else { return nil }
    let tokens = max(0, document.bytes) / TokenEstimate.bytesPerToken
    // If the document fits the prompt of one model, no split is needed.
    guard
      tokens.addingCapped(frameTokens)
        > basis.documentRoom(besides: PlanLimits.documentAnswerTokens)
    else { return nil }
    // The longest part and the frame around it must fit one prompt.
    let frame = frameTokens + TokenEstimate.tokens(of: request.query)
    let share = (basis.documentRoom() - frame) * 100 / (100 + DocumentCut.excessPercent)
    // If a part is shorter than the frame around it, its prompt is not worth a call.
    guard share >= frame else { return nil }
    let count = max(2, (tokens - 1) / share + 1)
    guard count <= Limits.documentParts.value else { return nil }
    let parts = (1...count).map { number in
      var part = Split.Part(
        "Your source is part \(number) of \(count) of a document. Collect from it what matters for "
          + "this: \(request.query)")
      part.documents = [document.name]
      part.documentPart = DocumentPart(number: number, count: count)
      return part
    }
    var split = Split(
      parts: parts,
      merge: .summarise(task: request.query, tokens: AnswerSize.tokens(of: request.query)),
      kind: "parts of the document")
    // An agent that chose a model with a shorter context would read excerpts of its part.
    split.models = basis.longContextModels
    return split
  }

  /// Tokens around a part and its query in a prompt: instruction, name, number and fence.
  private static let frameTokens = 128
  /// Maximum words of the query. Each agent sees only one part and could not check the conditions
  /// of a longer query.
  private static let mostWords = 60

  /// Whether the query needs the whole document and names no place in it.
  static func asksForAll(_ query: String) -> Bool {
    guard query.utf8.count <= QueryShape.maximumBytes else { return false }
    let words = query.lowercasedWords
    guard words.count <= mostWords, !words.contains(where: places.contains) else { return false }
    if words.prefix(12).contains(where: summaries.contains) { return true }
    guard let first = words.firstIndex(where: collecting.contains), first < 4 else { return false }
    return words[first...].prefix(3).contains(where: quantities.contains)
  }

  private static let summaries: Set<String> = [
    "gist", "overview", "summarise", "summarize", "summary", "synopsis",
  ]
  private static let collecting: Set<String> = [
    "collect", "extract", "find", "identify", "list", "name",
  ]
  private static let quantities: Set<String> = ["all", "each", "every"]
  private static let places: Set<String> = [
    "article", "chapter", "clause", "page", "paragraph", "passage", "section", "sentence",
  ]
}
