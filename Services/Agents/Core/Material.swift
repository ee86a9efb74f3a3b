public import ClusterModel
public import Text

/// What a task is given of its documents, numbered, so that an answer can cite it.
public struct Material: Equatable, Sendable {
  public struct Source: Equatable, Sendable {
    /// Of the document.
    public var name: String
    public var text: String

    public init(name: String, text: String) {
      self.name = name
      self.text = text
    }
  }

  /// The first is number 1.
  public var sources: [Source]
  /// They are the documents as they came, none left out, none shortened.
  public var isWhole: Bool

  public static let none = Material(sources: [], isWhole: true)

  public init(sources: [Source], isWhole: Bool) {
    self.sources = sources
    self.isWhole = isWhole
  }

  /// For the prompt; empty when there is none.
  /// - Parameter fence: of the task's prompt.
  public func note(cites: Bool, fence: Fence) -> String {
    guard !sources.isEmpty else { return "" }
    let parts = sources.enumerated().map {
      "[\($0 + 1)]\n\(fence.enclosing("\($1.name)\n\($1.text)"))"
    }
    let head = isWhole ? "Sources:" : "What was found in the sources:"
    let told =
      cites
      ? "Answer from these sources. Behind each fact that you take from one write its number, "
        + "like [1]. What they do not say is not known."
      : ""
    return ([head] + parts + [told]).filter { !$0.isEmpty }.joined(separator: "\n\n")
  }
}

/// How a task's documents become material: whole where they fit, else what was found in them.
public enum Reading: Equatable, Sendable {
  case ready(Material)
  /// They are too long: the passages are to be searched, and `material` made of those found.
  case search([Passage], PassageQuery)

  /// Documents larger than that are not compressed, only searched: compressing one takes seconds.
  private static let compressedBytes = 256 << 10

  /// - Parameters:
  ///   - tokens: what the prompt has room for.
  ///   - asked: what is looked for, the most important first.
  /// - Throws: `invalidRequest`, naming a document that is no text.
  public static func of(
    _ documents: [Document], within tokens: Int, asked: [String]
  ) throws(Failure) -> Reading {
    for document in documents {
      if let fault = DocumentText.fault(in: document.text) {
        throw Failure(
          .invalidRequest, "the document \"\(DocumentText.name(of: document))\" \(fault)")
      }
    }
    guard !documents.isEmpty else { return .ready(.none) }
    let sizes = documents.reduce(0) { $0 + size(of: $1.text) }
    if sizes <= tokens { return .ready(whole(documents, documents.map(\.text))) }
    // What is said twice and white space may be all that is too much.
    if sizes <= 2 * tokens {
      let shorter = documents.map { Compression.compressed($0.text, toTokens: sizes) }
      if shorter.reduce(0, { $0 + size(of: $1) }) <= tokens {
        return .ready(whole(documents, shorter))
      }
    }
    return .search(Passages.of(documents), PassageQuery(asked))
  }

  /// - Parameters:
  ///   - ranked: positions of the passages that were found, the best first.
  public static func material(
    of passages: [Passage], ranked: [Int], in documents: [Document], within tokens: Int
  ) -> Material {
    let bytes = documents.reduce(0) { $0 + $1.text.utf8.count }
    if ranked.isEmpty, documents.count <= 16, bytes <= compressedBytes {
      // Nothing in particular was asked: their outlines say most.
      let share = max(tokens / documents.count - 8, 16)
      let texts = documents.map { Compression.compressed($0.text, toTokens: share) }
      var material = whole(documents, texts)
      material.isWhole = false
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
    // A word or two found by chance are not what a document says: half the room goes to beginnings.
    take(passages.indices, until: tokens / 2)
    return Material(
      sources: chosen.map { place in
        let passage = passages[place]
        return Material.Source(
          name: DocumentText.name(of: documents[passage.document]), text: passage.text)
      }, isWhole: false)
  }

  private static func whole(_ documents: [Document], _ texts: [String]) -> Material {
    Material(
      sources: zip(documents, texts).map {
        Material.Source(name: DocumentText.name(of: $0), text: $1)
      }, isWhole: true)
  }

  /// With its number, name and fence.
  private static func size(of text: String) -> Int {
    Compression.estimatedTokens(text) + 16 + Fence.tokensAround
  }
}

/// What can be wrong with a document that came with a request.
enum DocumentText {
  private static let maximumNameBytes = 120

  /// On one line, for prompts and messages.
  static func name(of document: Document) -> String {
    let name = document.name.map { $0.isNewline ? " " : $0 }
    return name.isEmpty ? "document" : String(name).cut(toBytes: maximumNameBytes)
  }

  /// Why it is no text, to follow its name in a sentence; nil: it is.
  static func fault(in text: String) -> String? {
    var odd = 0
    var count = 0
    for byte in text.utf8 {
      count += 1
      if byte == 0 { return "is not text: it holds a NUL byte" }
      // Control characters that no text has; DEL; a form feed and an escape are seen in some.
      if byte < 0x09 || byte > 0x0D && byte < 0x1B || byte > 0x1B && byte < 0x20 || byte == 0x7F {
        odd += 1
      }
    }
    // Bytes that were no UTF-8 have become this mark.
    let replaced = text.unicodeScalars.lazy.filter { $0 == "\u{FFFD}" }.count
    guard odd * 50 <= count, replaced * 20 <= count else {
      return "is not text: much of it cannot be read"
    }
    return nil
  }
}

/// How many tokens of a prompt are left for documents.
public enum MaterialBudget {
  /// Of a host that does not tell.
  static let unknownContext = 4_096
  /// More than that a small model does not take in, and a large one is made to wait for.
  static let maximumTokens = 6_000
  static let leastTokens = 128

  /// - Parameters:
  ///   - context: of the smallest host that may be asked; nil: it does not tell.
  ///   - promptBytes: of the request without documents.
  ///   - completion: tokens that the answer may have.
  public static func tokens(context: Int?, promptBytes: Int, completion: Int) -> Int {
    let left = (context ?? unknownContext) - promptBytes / 4 - completion
    // Dense texts have fewer than four bytes a token.
    return min(max(left * 4 / 5, leastTokens), maximumTokens)
  }
}
