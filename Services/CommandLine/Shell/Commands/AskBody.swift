import Foundation

/// The request of `tutti ask`, `tutti chat` and `tutti plan`.
struct AskBody: Encodable {
  struct Message: Encodable {
    let role: String
    let content: Content
  }
  enum Content: Encodable {
    case text(String)
    case parts([Part])

    func encode(to encoder: any Encoder) throws {
      var value = encoder.singleValueContainer()
      switch self {
      case .text(let text): try value.encode(text)
      case .parts(let parts): try value.encode(parts)
      }
    }
  }
  struct Part: Encodable {
    struct ImageURL: Encodable { let url: String }

    let type: String
    var text: String?
    var imageURL: ImageURL?

    enum CodingKeys: String, CodingKey {
      case type, text
      case imageURL = "image_url"
    }

    static func text(_ text: String) -> Part { Part(type: "text", text: text) }
    static func image(url: String) -> Part {
      Part(type: "image_url", imageURL: ImageURL(url: url))
    }
  }
  struct StreamOptions: Encodable {
    let includeUsage: Bool
    enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
  }
  struct Document: Encodable {
    let name: String
    let text: String
  }
  struct Budget: Encodable {
    var tokens: Int?
    var credits: Int?
  }
  struct Deadlines: Encodable {
    var total: Int
  }
  enum Trace: Encodable {
    case summary
    /// The trace contains the outputs of tasks.
    case full

    func encode(to encoder: any Encoder) throws {
      var value = encoder.singleValueContainer()
      switch self {
      case .summary: try value.encode(true)
      case .full: try value.encode("full")
      }
    }
  }
  struct Extension: Encodable {
    var trace: Trace?
    var documents: [Document]?
    var members: Int?
    var rounds: Int?
    var quorum: Int?
    var budget: Budget?
    var seed: Int?
    var dataPolicy: String?
    var race: String?
    var deadlines: Deadlines?

    enum CodingKeys: String, CodingKey {
      case trace, documents, members, rounds, quorum, budget, seed, race
      case dataPolicy = "data_policy"
      case deadlines = "deadlines_ms"
    }
  }

  let model: String
  let messages: [Message]
  var stream = false
  var streamOptions: StreamOptions?
  var maxTokens: Int?
  var temperature: Double?
  var tutti: Extension?

  enum CodingKeys: String, CodingKey {
    case model, messages, stream, temperature, tutti
    case streamOptions = "stream_options"
    case maxTokens = "max_tokens"
  }

  /// The request as JSON. Base64 has slashes, which would grow if they were escaped.
  func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    return try encoder.encode(self)
  }
}
