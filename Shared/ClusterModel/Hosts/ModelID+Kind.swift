// The model list of the OpenAI API reports no capabilities, so a model's kind follows from its
// name. A wrong guess costs little: a client that names a model gets it whatever its name suggests.
// Only the choice that Tutti makes (`tutti/fast`, `tutti/auto`, plans) depends on the guess, and an
// admin can correct it (`ModelOffer.kind`).

extension ModelID {
  /// True if the name suggests a chat model: a model that answers a conversation with text.
  ///
  /// Models of other kinds are recognised by name, and all other models count as chat models: there
  /// are more chat models than anyone could list.
  public var looksLikeChat: Bool {
    let words = words
    guard !Self.isEmbedding(name, words) else { return false }
    // GPT models with audio refuse a conversation without sound. Models of other families that read
    // sound (`qwen2-audio`, `voxtral`) also answer text.
    if words.contains("audio"), words.contains("gpt") { return false }
    return !words.contains { word in
      Self.otherWords.contains(word) || Self.otherPrefixes.contains { word.hasPrefix($0) }
    }
  }

  /// True if the name suggests an embedding model: `nomic-embed-text`, `bge-m3`, `all-minilm`,
  /// `multilingual-e5-small`.
  public var looksLikeEmbedding: Bool { Self.isEmbedding(name, words) }

  private static func isEmbedding(_ name: String, _ words: [String]) -> Bool {
    guard !words.contains(where: { $0.hasPrefix("rerank") }) else { return false }
    return words.contains { embeddingWords.contains($0) || $0.contains("embed") }
  }

  /// The name's words in lower case. Only whole words are compared, because "gte", "e5" and "tts"
  /// occur inside other names by chance.
  private var words: [String] {
    name.lowercased().split { !($0.isLetter || $0.isNumber) }.map { String($0) }
  }

  private static let embeddingWords: Set<String> = [
    "bge", "e5", "gte", "minilm", "mpnet", "paraphrase", "voyage",
  ]

  private static let otherPrefixes = ["dalle", "rerank", "sdxl", "whisper"]

  private static let otherWords: Set<String> = [
    // Models that map pictures to vectors or score pairs of texts.
    "clip", "colbert", "encoder", "siglip",
    // Models that turn text into pictures and films.
    "cogvideox", "dall", "diffusion", "flux", "flux1", "ideogram", "image", "imagen", "kandinsky",
    "midjourney", "pixart", "recraft", "sd3", "sora", "stablediffusion", "t2i", "t2v", "veo",
    // Models that turn text into sound or sound into text. `realtime` models answer only on a
    // socket of their own.
    "bark", "kokoro", "musicgen", "parakeet", "realtime", "speecht5", "transcribe", "tts",
    "wav2vec2",
    "xtts",
    // Models that judge texts: they answer "safe" or a list of scores.
    "guard", "guardian", "moderation", "shieldgemma",
  ]
}
