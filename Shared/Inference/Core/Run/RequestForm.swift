import ClusterModel
import Limits
import Text

/// Changes of a request that undo additions by Tutti. If a host refuses an addition, it is asked
/// again without this addition.
public struct RequestForm: OptionSet, Hashable, Sendable {
  public let rawValue: UInt16

  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Asks for one body instead of a stream.
  static let unstreamed = RequestForm(rawValue: 1 << 0)
  /// Removes Tutti's `stream_options`. The host may then report no usage.
  static let withoutUsageOption = RequestForm(rawValue: 1 << 1)
  static let withoutTemperature = RequestForm(rawValue: 1 << 2)
  static let withoutTopP = RequestForm(rawValue: 1 << 3)
  static let withoutSeed = RequestForm(rawValue: 1 << 4)
  static let withoutFormat = RequestForm(rawValue: 1 << 5)
  /// Renames `max_tokens` to `max_completion_tokens`.
  public static let newLimitName = RequestForm(rawValue: 1 << 6)
  public static let withoutLimit = RequestForm(rawValue: 1 << 7)
  /// Moves the text of system messages to the start of the next user message.
  static let foldedSystem = RequestForm(rawValue: 1 << 8)

  /// Changes that only affect how the answer is sent. All other changes affect the question.
  static let delivery: RequestForm = [.unstreamed, .withoutUsageOption]

  private static let names: [(change: RequestForm, text: String)] = [
    (.unstreamed, "not streamed"), (.withoutUsageOption, "without stream_options"),
    (.withoutTemperature, "without temperature"), (.withoutTopP, "without top_p"),
    (.withoutSeed, "without seed"), (.withoutFormat, "without response_format"),
    (.newLimitName, "max_completion_tokens in place of max_tokens"),
    (.withoutLimit, "without max_tokens"), (.foldedSystem, "system text in the user's message"),
  ]

  /// One description per change, for the trace.
  public var changes: [String] {
    Self.names.compactMap { contains($0.change) ? $0.text : nil }
  }

  /// The changes that undo additions to a request.
  /// - Parameter added: names of the members that Tutti added. `system` means a system message.
  public init(undoing added: some Sequence<String>) {
    self = []
    for name in added {
      switch name {
      case "stream": insert(.unstreamed)
      case "stream_options": insert(.withoutUsageOption)
      case "temperature": insert(.withoutTemperature)
      case "top_p": insert(.withoutTopP)
      case "seed": insert(.withoutSeed)
      case "response_format": insert(.withoutFormat)
      case "max_tokens": insert(.newLimitName)
      case "system": insert(.foldedSystem)
      default: break
      }
    }
  }

  /// The body after all changes that affect the question. All other bytes stay.
  func applied(to body: [UInt8]) -> [UInt8] {
    guard !subtracting(.delivery).isEmpty, let scanner = try? JSONObjectScanner(body) else {
      return body
    }
    var removed: Set<String> = []
    var replaced: [(name: String, json: [UInt8])] = []
    if contains(.withoutTemperature) { removed.insert("temperature") }
    if contains(.withoutTopP) { removed.insert("top_p") }
    if contains(.withoutSeed) { removed.insert("seed") }
    if contains(.withoutFormat) { removed.insert("response_format") }
    if contains(.withoutLimit) {
      removed.insert("max_tokens")
    } else if contains(.newLimitName), let limit = scanner["max_tokens"] {
      removed.insert("max_tokens")
      if scanner["max_completion_tokens"] == nil {
        replaced.append(("max_completion_tokens", Array(scanner.document.slice(limit))))
      }
    }
    if contains(.foldedSystem), let messages = scanner["messages"], messages.kind == .array {
      replaced.append(("messages", Self.folded(messages, scanner.document)))
    }
    return scanner.edited(replacing: replaced, removing: removed)
  }

  // MARK: - System messages

  /// The messages without system messages. The text of a system message moves to the next user
  /// message, or to a new one at the end.
  private static func folded(_ messages: JSONValue, _ document: JSONDocument) -> [UInt8] {
    var kept: [JSON] = []
    var pending: [String] = []
    for message in document.eachElement(of: messages) {
      let members = document.values(["role", "content"], in: message)
      switch members[0].flatMap(document.string) {
      case "system", "developer":
        let text = members[1].map { Self.text(of: $0, document) } ?? ""
        if !text.isEmpty { pending.append(text) }
      case "user" where !pending.isEmpty:
        let whole = Array(document.slice(message))
        kept += joined(pending, whole).map { .raw($0) }
        pending = []
      default: kept.append(.raw(Array(document.slice(message))))
      }
    }
    if !pending.isEmpty { kept.append(user(pending)) }
    return JSON.array(kept).encoded
  }

  private static func user(_ texts: [String]) -> JSON {
    ["role": "user", "content": .string(texts.joined(separator: "\n\n"))]
  }

  /// A user message that starts with these texts. If the texts cannot be added to its content, they
  /// become a message of their own.
  private static func joined(_ texts: [String], _ message: [UInt8]) -> [[UInt8]] {
    let separate = [user(texts).encoded, message]
    guard let scanner = try? JSONObjectScanner(message), let content = scanner["content"] else {
      return separate
    }
    let before = texts.joined(separator: "\n\n")
    let json: [UInt8]
    switch content.kind {
    case .string:
      guard let own = scanner.document.string(content) else { return separate }
      json = JSON.quoted("\(before)\n\n\(own)")
    case .array:
      let part: JSON = ["type": "text", "text": .string(before)]
      let parts = scanner.document.eachElement(of: content).map {
        JSON.raw(Array(scanner.document.slice($0)))
      }
      json = JSON.array([part] + parts).encoded
    default: return separate
    }
    return [scanner.edited(replacing: [(name: "content", json: json)])]
  }

  private static func text(of content: JSONValue, _ document: JSONDocument) -> String {
    if let text = document.string(content) { return text }
    var parts: [String] = []
    for part in document.eachElement(of: content) {
      if let text = document.value("text", in: part).flatMap(document.string) { parts.append(text) }
    }
    return parts.joined(separator: "\n")
  }
}

extension InferenceRequest {
  /// The changes that undo Tutti's additions to this request on its way to a host.
  func undoable(_ shape: AnswerShape) -> RequestForm {
    guard endpoint != .embeddings else { return undoable }
    var form = undoable
    if !stream { form.insert(.unstreamed) }
    // A client that streams and wants usage has set `stream_options` itself.
    if !stream || !shape.wantsUsage { form.insert(.withoutUsageOption) }
    return form
  }
}
