// The model list of the OpenAI API reports no capabilities, so a model's kind follows from its
// name. A wrong guess costs little: a client that names a model gets it whatever its name suggests.
// Only the choice that Tutti makes (`tutti/fast`, `tutti/auto`, plans) depends on the guess, and an
// admin can correct it (`ModelOffer.kind`).

extension ModelID {
  /// Whether the name suggests a chat model: a model that answers a conversation with text.
  public var looksLikeChat: Bool { suggestedKind == .chat }

  /// Whether the name suggests an embedding model: `nomic-embed-text`, `bge-m3`, `all-minilm`,
  /// `multilingual-e5-small`.
  public var looksLikeEmbedding: Bool { suggestedKind == .embeddings }

  /// Purpose that the name suggests.
  ///
  /// A name comes from a host and may have any content. So it is read by bytes, and once per offer
  /// (`ModelOffer`).
  package var suggestedKind: ModelKind {
    var work = 0
    return suggestedKind(work: &work)
  }

  /// - Parameter work: grows by the bytes that are read.
  package func suggestedKind(work: inout Int) -> ModelKind {
    var hints = NameHints()
    var word: [UInt8] = []
    for byte in name.utf8 {
      work += 1
      if let letter = Self.wordByte(byte) {
        word.append(letter)
      } else {
        hints.add(word, work: &work)
        word.removeAll(keepingCapacity: true)
      }
    }
    hints.add(word, work: &work)
    return hints.kind
  }

  /// The byte of a letter or a number in lower case. `nil` means that the byte ends a word. Bytes
  /// outside of ASCII count as letters.
  private static func wordByte(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...: byte
    default: nil
    }
  }
}

/// Words of a model's name that suggest its purpose.
///
/// Words identify models of the other kinds. A model without such a word counts as a chat model,
/// because there are more chat models than anyone could list. Short words such as "gte", "e5" and
/// "tts" are compared whole, because they occur inside other names by chance.
private struct NameHints {
  private enum Hint {
    case embedding, other, audio, gpt
  }

  private var isEmbedding = false
  private var isRanking = false
  private var isOther = false
  private var hasAudio = false
  private var isGPT = false

  var kind: ModelKind {
    if isEmbedding && !isRanking { return .embeddings }
    // GPT models with audio refuse a conversation without sound. Models of other families that read
    // sound (`qwen2-audio`, `voxtral`) also answer text.
    return isOther || isRanking || hasAudio && isGPT ? .other : .chat
  }

  /// - Parameters:
  ///   - word: in lower case. An empty one has no effect.
  ///   - work: grows by the bytes that are compared.
  mutating func add(_ word: [UInt8], work: inout Int) {
    guard !word.isEmpty else { return }
    work += word.count
    isRanking = isRanking || word.starts(with: Self.ranking)
    isEmbedding = isEmbedding || Self.contains(Self.embedding, in: word)
    isOther = isOther || Self.otherPrefixes.contains { word.starts(with: $0) }
    guard Self.lengths.contains(word.count) else { return }
    switch Self.hints[String(decoding: word, as: UTF8.self)] {
    case .embedding: isEmbedding = true
    case .other: isOther = true
    case .audio: hasAudio = true
    case .gpt: isGPT = true
    case nil: break
    }
  }

  private static func contains(_ part: [UInt8], in word: [UInt8]) -> Bool {
    guard word.count >= part.count else { return false }
    return (0...(word.count - part.count)).contains { word[$0...].starts(with: part) }
  }

  private static let ranking = Array("rerank".utf8)
  private static let embedding = Array("embed".utf8)
  private static let otherPrefixes = ["dalle", "sdxl", "whisper"].map { Array($0.utf8) }

  /// Lengths of the words below.
  private static let lengths = 2...15

  private static let hints: [String: Hint] = {
    var hints: [String: Hint] = ["audio": .audio, "gpt": .gpt]
    for word in embeddingWords { hints[word] = .embedding }
    for word in otherWords { hints[word] = .other }
    return hints
  }()

  private static let embeddingWords = [
    "bge", "e5", "gte", "minilm", "mpnet", "paraphrase", "voyage",
  ]

  private static let otherWords = [
    // Models that map pictures to vectors or score pairs of texts.
    "clip", "colbert", "encoder", "siglip",
    // Models that turn text into pictures and films.
    "cogvideox", "dall", "diffusion", "flux", "flux1", "ideogram", "image", "imagen", "kandinsky",
    "midjourney", "pixart", "recraft", "sd3", "sora", "stablediffusion", "t2i", "t2v", "veo",
    // Models that turn text into sound or sound into text. `realtime` models answer only on a
    // socket of their own.
    "bark", "kokoro", "musicgen", "parakeet", "realtime", "speecht5", "transcribe", "tts",
    "wav2vec2", "xtts",
    // Models that judge texts: they answer "safe" or a list of scores.
    "guard", "guardian", "moderation", "shieldgemma",
  ]
}
