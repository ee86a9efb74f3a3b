public import ClusterModel
public import Text

/// The text from documents that a task gets, numbered so that an answer can cite it.
public struct PromptDocuments: Equatable, Sendable {
  public struct Source: Equatable, Sendable {
    /// The document's name.
    public var name: String
    public var text: String

    public init(name: String, text: String) {
      self.name = name
      self.text = text
    }
  }

  /// The first source has number 1.
  public var sources: [Source]
  /// Documents of which the sources hold only a part.
  public var excerpts: [DocumentExcerpt]

  /// Whether the sources hold all documents completely, except for repetitions and white space.
  public var isWhole: Bool { excerpts.isEmpty }

  public static let none = PromptDocuments(sources: [])

  public init(sources: [Source], excerpts: [DocumentExcerpt] = []) {
    self.sources = sources
    self.excerpts = excerpts
  }

  /// The sources as text for the prompt; empty if there are none.
  /// - Parameter fence: the fence of the task's prompt.
  public func note(cites: Bool, fence: Fence) -> String {
    guard !sources.isEmpty else { return "" }
    let parts = sources.enumerated().map {
      "[\($0 + 1)]\n\(fence.enclosing("\($1.name)\n\($1.text)"))"
    }
    let head = isWhole ? "Sources:" : "What was found in the sources:"
    let citationRule =
      cites
      ? "Answer from these sources. Behind each fact that you take from one write its number, "
        + "like [1]. What they do not say is not known."
      : ""
    return ([head] + parts + [citationRule]).filter { !$0.isEmpty }.joined(separator: "\n\n")
  }
}

/// How documents become material: complete if they fit, otherwise as search results.
public enum DocumentSelection: Equatable, Sendable {
  case ready(PromptDocuments)
  /// The documents are too long. The caller searches the passages and makes `material` from the
  /// results.
  case search([Passage], PassageQuery)

  /// Maximum bytes of all documents to make outlines of. Larger documents are only searched,
  /// because compressing them takes seconds.
  private static let compressedBytes = 256 << 10

  /// - Parameters:
  ///   - tokens: room in the prompt.
  ///   - query: texts to search for, the most important first.
  /// - Throws: `invalidRequest` that names a document which is not text.
  public static func of(
    _ documents: [Document], within tokens: Int, query: [String]
  ) throws(Failure) -> DocumentSelection {
    for document in documents {
      if let fault = DocumentText.fault(in: document.text) {
        throw Failure(
          .invalidRequest, "the document \"\(DocumentText.name(of: document))\" \(fault)")
      }
    }
    guard !documents.isEmpty else { return .ready(.none) }
    let sizes = documents.reduce(0) { $0 + size(of: $1.text) }
    if sizes <= tokens { return .ready(whole(documents, documents.map(\.text))) }
    // Removing repetition and white space may be enough.
    if sizes <= 2 * tokens {
      let shorter = documents.map { Compression.compressed($0.text, toTokens: sizes) }
      if shorter.reduce(0, { $0 + size(of: $1) }) <= tokens {
        return .ready(whole(documents, shorter))
      }
    }
    return .search(Passages.of(documents), PassageQuery(query))
  }

  /// - Parameters:
  ///   - ranked: indices of the passages found, the best first.
  public static func material(
    of passages: [Passage], ranked: [Int], in documents: [Document], within tokens: Int
  ) -> PromptDocuments {
    let bytes = documents.reduce(0) { $0 + $1.text.utf8.count }
    if ranked.isEmpty, documents.count <= 16, bytes <= compressedBytes {
      // The search found nothing, so outlines of the documents are most useful.
      let share = max(tokens / documents.count - 8, 16)
      let texts = documents.map { Compression.compressed($0.text, toTokens: share) }
      var material = whole(documents, texts)
      material.excerpts = excerpts(of: documents, readBytes: texts.map(\.utf8.count))
      return material
    }
    var left = tokens
    var chosen: [Int] = []
    var taken: Set<Int> = []
    func take(_ places: some Sequence<Int>, until least: Int) {
      for place in places where left > least && passages.indices.contains(place) {
        let cost = passages[place].tokens + 16 + Fence.tokensAround
        guard cost <= left, taken.insert(place).inserted else { continue }
        left -= cost
        chosen.append(place)
      }
    }
    take(ranked, until: 0)
    // A few chance matches do not represent a document. If they take less than half the room,
    // passages from the beginning fill the room up to half.
    take(passages.indices, until: tokens / 2)
    var readBytes = documents.map { _ in 0 }
    for place in chosen { readBytes[passages[place].document] += passages[place].text.utf8.count }
    return PromptDocuments(
      sources: chosen.map { place in
        let passage = passages[place]
        return PromptDocuments.Source(
          name: DocumentText.name(of: documents[passage.document]), text: passage.text)
      }, excerpts: excerpts(of: documents, readBytes: readBytes))
  }

  /// - Parameter readBytes: bytes of each document that the sources hold.
  private static func excerpts(
    of documents: [Document], readBytes: [Int]
  ) -> [DocumentExcerpt] {
    zip(documents, readBytes).compactMap { document, read in
      let bytes = document.text.utf8.count
      guard read < bytes else { return nil }
      return DocumentExcerpt(document: document.name, bytes: bytes, readBytes: read)
    }
  }

  private static func whole(_ documents: [Document], _ texts: [String]) -> PromptDocuments {
    PromptDocuments(
      sources: zip(documents, texts).map {
        PromptDocuments.Source(name: DocumentText.name(of: $0), text: $1)
      })
  }

  /// Tokens of a source with its number, name and fence.
  private static func size(of text: String) -> Int {
    TokenEstimate.tokens(of: text) + 16 + Fence.tokensAround
  }
}

/// Checks a document that came with a request.
enum DocumentText {
  private static let maximumNameBytes = 120

  /// The name on one line, for prompts and messages.
  static func name(of document: Document) -> String {
    let name = document.name.map { $0.isNewline ? " " : $0 }
    return name.isEmpty ? "document" : String(name).cut(toBytes: maximumNameBytes)
  }

  /// Returns a predicate that describes why the document is not text. It follows the document's
  /// name in a message. `nil` means that the document is text.
  static func fault(in text: String) -> String? {
    var odd = 0
    var count = 0
    for byte in text.utf8 {
      count += 1
      if byte == 0 { return "is not text: it holds a NUL byte" }
      // Text contains no control characters, except for white space and escape.
      if byte < 0x09 || byte > 0x0D && byte < 0x1B || byte > 0x1B && byte < 0x20 || byte == 0x7F {
        odd += 1
      }
    }
    // A decoder replaces invalid UTF-8 by this character.
    let replaced = text.unicodeScalars.lazy.filter { $0 == "\u{FFFD}" }.count
    guard odd * 50 <= count, replaced * 20 <= count else {
      return "is not text: much of it cannot be read"
    }
    return nil
  }
}
