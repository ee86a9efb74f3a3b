import ClusterModel
import Text

/// Finds the parts that a query itself names: documents, list items, questions, sections, commands.
///
/// It uses no model. The result is a candidate; `SplitEstimate` decides if it pays. It understands
/// English. In other languages it recognises lists and questions by their marks, and in German,
/// French and Spanish also translations.
struct SplitFinder {
  let split: Split?

  init(_ basis: PlanBasis) {
    let request = basis.request
    guard request.documents.count < 2 else {
      split = DocumentSplit.find(basis)
      return
    }
    var found = Self.find(request.query)
    for index in found?.parts.indices ?? 0..<0 {
      found?.parts[index].documents = request.documents.map(\.name)
    }
    split = found
  }

  static func find(_ query: String) -> Split? {
    // A query this long contains pasted text, whose lists and questions are not the client's.
    guard query.utf8.count <= QueryShape.maximumBytes, !isSequential(query) else { return nil }
    let found =
      LanguageSplit.find(query) ?? ListSplit.find(query) ?? QuestionSplit.find(query)
      ?? CommandSplit.find(query)
      ?? SeriesSplit.find(query)
    guard let found, (2...Split.mostParts).contains(found.parts.count) else { return nil }
    return found
  }

  /// True if the parts follow from each other, as in an argument or a recipe.
  private static func isSequential(_ query: String) -> Bool {
    let text = query.lowercased()
    return sequential.contains(where: text.containsBytes(of:))
  }

  private static let sequential = [
    "step by step", "step-by-step", "each step", "in this order", "builds on", "building on",
    "one after the other", "previous step", "in sequence",
  ]
}

extension Split.Part {
  /// - Parameters:
  ///   - shared: text before the task that applies to all parts.
  ///   - after: text after the task that applies to all parts.
  ///   - tokens: tokens of the answer. `nil` means an estimate from the words of the task.
  init(
    _ task: String, shared: String = "", after: String = "", heading: String? = nil,
    needs: [Int] = [], tokens: Int? = nil
  ) {
    let pieces = [shared, task, after].filter { !$0.isEmpty }
    instruction = pieces.joined(separator: "\n")
    self.heading = heading
    self.needs = needs
    self.tokens =
      tokens ?? AnswerSize.tokens(of: task, context: [shared, after].joined(separator: " "))
    promptTokens = instruction.utf8.count / TokenEstimate.bytesPerToken
  }
}

/// Makes a part per document, or per group of documents if there are many.
enum DocumentSplit {
  static func find(_ basis: PlanBasis) -> Split? {
    let request = basis.request
    let words = request.query.lowercasedWords
    let groups = groups(of: request.documents)
    // A query almost as long as the longest instruction leaves no room for the documents' names.
    guard groups.count > 1,
      request.query.utf8.count <= PlanValidation.maximumInstructionBytes - instructionRoom
    else { return nil }
    let isEach = words.contains { SplitWords.distributive.contains($0) || $0 == "per" }
    let wantsOne = words.contains { SplitWords.overall.contains($0) || joint.contains($0) }
    let task =
      isEach
      ? eachTask(request.query)
      : "Collect from it what matters for this: "
        + request.query
    let size = AnswerSize.tokens(of: task)
    var parts = groups.map { group in
      let names = group.map { Fence.name($0.name) }.joined(separator: ", ").cut(toBytes: 400)
      var part = Split.Part(
        "\(task)\nRead only: \(names).",
        heading: isEach && group.count == 1 ? Fence.name(group[0].name) : nil,
        tokens: size * group.count)
      part.documents = group.map(\.name)
      return part
    }
    guard isEach else {
      return Split(
        parts: parts,
        merge: .synthesise(task: request.query, tokens: AnswerSize.tokens(of: request.query)),
        kind: "documents")
    }
    if wantsOne, let last = Sentences.split(request.query).last {
      var closing = Split.Part(last, needs: Array(parts.indices))
      closing.documents = []
      parts.append(closing)
    }
    return Split(parts: parts, merge: .concatenate, kind: "documents")
  }

  /// Bytes of an instruction reserved for text other than the query.
  private static let instructionRoom = 2_048
  private static let joint: Set<String> = ["compare", "across", "overall", "report", "synthesis"]

  /// Groups adjacent documents, so that a plan stays within the maximum number of parts.
  private static func groups(of documents: [DocumentFacts]) -> [[DocumentFacts]] {
    let size = (documents.count + Split.mostParts - 1) / Split.mostParts
    return stride(from: 0, to: documents.count, by: size).map {
      Array(documents[$0..<min($0 + size, documents.count)])
    }
  }

  /// Returns the task for each document: the query without a last sentence about all of them.
  private static func eachTask(_ query: String) -> String {
    let sentences = Sentences.split(query)
    guard sentences.count > 1, let last = sentences.last,
      last.lowercasedWords.contains(where: { SplitWords.overall.contains($0) || joint.contains($0) }
      )
    else { return query }
    return sentences.dropLast().joined(separator: " ")
  }
}
