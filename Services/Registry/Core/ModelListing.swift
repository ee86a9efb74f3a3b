public import ClusterModel
import Limits
public import Text

/// A host's list of models, with signs of the server's software.
///
/// Accepts the forms in use: `data` or `models` in an object, and a bare array. Each entry is
/// parsed alone, so that an unreadable entry does not hide the others.
public struct ModelListing: Sendable {
  public struct Entry: Sendable {
    public var id: String
    var ownedBy: String?
    /// Maximum tokens of prompt and completion together.
    var contextTokens: Int?
    /// The member `type`. It is `model` in Anthropic's entries.
    var type: String?
    /// The member `object`. Anthropic's entries lack it.
    var object: String?
    /// Members for `/v1/models`, as in `ModelOffer.facts`.
    var facts = ""

    init(id: String) { self.id = id }
  }

  public var entries: [Entry]
  /// Number of entries without a name.
  var unreadable = 0

  init(entries: [Entry]) { self.entries = entries }

  /// - Parameter bytes: a body of at most `Limits.probeBytes`.
  /// - Throws: `JSONError` if the body is not JSON or has no list of models.
  public init(parsing bytes: [UInt8]) throws(JSONError) {
    let document = try Self.document(bytes)
    let list: JSONValue?
    switch document.root.kind {
    case .array: list = document.root
    case .object:
      let members = document.values(["data", "models"], in: document.root)
      // Some servers send `{"data": null}` for an empty list.
      list = [members[0], members[1]].first { $0?.kind == .array } ?? members[0] ?? members[1]
    default: list = nil
    }
    guard let list, list.kind == .array || list.kind == .null else {
      throw JSONError(offset: 0, reason: "no list of models")
    }
    entries = []
    for element in document.eachElement(of: list) {
      if let entry = Self.entry(element, document) {
        entries.append(entry)
      } else {
        unreadable += 1
      }
    }
  }

  /// Parses the body. Repairs mistakes that some servers make: a byte order mark, bytes that are
  /// not UTF-8, and numbers that JSON does not have.
  private static func document(_ bytes: [UInt8]) throws(JSONError) -> JSONDocument {
    if let document = try? JSONDocument(validating: bytes) { return document }
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let text = String(decoding: bytes.starts(with: mark) ? bytes[3...] : bytes[...], as: UTF8.self)
    return try JSONDocument(validating: withoutStrangeNumbers(Array(text.utf8)))
  }

  /// Replaces `NaN` and `Infinity` outside strings by `null`.
  private static func withoutStrangeNumbers(_ bytes: [UInt8]) -> [UInt8] {
    let words = ["NaN", "-Infinity", "Infinity"].map { Array($0.utf8) }
    var repaired: [UInt8] = []
    repaired.reserveCapacity(bytes.count)
    var isInString = false
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if isInString, byte == UInt8(ascii: "\\") {
        repaired += bytes[index..<min(index + 2, bytes.count)]
        index += 2
        continue
      }
      if byte == UInt8(ascii: "\"") { isInString.toggle() }
      if !isInString, let word = words.first(where: { bytes[index...].starts(with: $0) }) {
        repaired += Array("null".utf8)
        index += word.count
        continue
      }
      repaired.append(byte)
      index += 1
    }
    return repaired
  }

  private static func entry(_ value: JSONValue, _ document: JSONDocument) -> Entry? {
    // Some servers list bare names instead of objects.
    if let name = document.string(value) { return name.isEmpty ? nil : Entry(id: name) }
    guard value.kind == .object else { return nil }
    let names = document.values(["id", "model", "name"], in: value)
    let named = names.lazy.compactMap { $0.flatMap(document.string) }.first { !$0.isEmpty }
    guard var id = named else { return nil }
    // Gemini's own list has names with a folder, which its chat API does not need.
    if names[0] == nil, id.hasPrefix("models/") { id.removeFirst("models/".count) }
    let listed = document.values(["owned_by", "type", "object"] + contextMembers, in: value)
    var entry = Entry(id: id)
    entry.ownedBy = listed[0].flatMap(document.string)
    entry.type = listed[1].flatMap(document.string)
    entry.object = listed[2].flatMap(document.string)
    entry.contextTokens =
      listed.dropFirst(3).lazy
      .compactMap { $0.flatMap { tokens($0, document) } }.first
    entry.facts = facts(of: value, document)
    return entry
  }

  /// Names of the context length, the most reliable first.
  private static let contextMembers = [
    "max_model_len", "loaded_context_length", "context_length", "context_window",
    "max_context_length", "max_input_tokens",
  ]

  /// A number of tokens, possibly in quotes. `nil` means that the value is not such a number.
  private static func tokens(_ value: JSONValue, _ document: JSONDocument) -> Int? {
    let number = document.number(value) ?? document.string(value).flatMap { Double($0) }
    guard let number, number >= 1 else { return nil }
    return Usage.bounded(Int(clamping: number))
  }

  /// Members that are passed on to clients. All others are dropped, because the facts are in the
  /// host table, which goes to every process.
  private static let factNames: Set<String> = Set(contextMembers).union([
    "created", "owned_by", "organization", "display_name", "root", "parent", "max_tokens",
    "max_output_tokens", "max_completion_tokens", "architecture", "modalities",
    "input_modalities", "output_modalities", "capabilities", "type", "meta", "quantization",
    "created_at",
  ])
  /// Maximum bytes of one fact. A longer fact would take more than half of the room for facts.
  private static let factBytes = 256
  /// Maximum members of an entry that are examined. No known entry has as many.
  private static let mostMembers = 64

  /// The facts of an offer without the context length that the host reported. An admin's value
  /// replaces that length.
  static func withoutContext(_ facts: String) -> String {
    guard let document = try? JSONDocument(validating: Array("{\(facts)}".utf8)) else { return "" }
    return self.facts(of: document.root, document, factNames.subtracting(contextMembers))
  }

  private static func facts(
    of entry: JSONValue, _ document: JSONDocument, _ names: Set<String> = factNames
  ) -> String {
    var facts: [UInt8] = []
    var seen: Set<String> = []
    for member in document.eachMember(of: entry).prefix(mostMembers)
    where names.contains(member.name) && member.value.kind != .null {
      let bytes = member.name.utf8.count + 4 + member.value.range.count
      guard bytes <= factBytes, facts.count + bytes <= Limits.modelFactsBytes.value,
        seen.insert(member.name).inserted
      else { continue }
      if !facts.isEmpty { facts.append(UInt8(ascii: ",")) }
      facts += JSON.quoted(member.name)
      facts.append(UInt8(ascii: ":"))
      facts += document.slice(member.value)
    }
    return String(decoding: facts, as: UTF8.self)
  }

  public func offers(contextTokens: Int?) -> [ModelOffer] {
    entries.map { entry in
      let tokens = (entry.contextTokens ?? contextTokens).flatMap { $0 > 0 ? $0 : nil }
      return ModelOffer(
        id: ModelID(entry.id), contextTokens: tokens.map(Usage.bounded), facts: entry.facts)
    }
  }

  /// Detects the server's software from its list.
  /// - Parameter server: value of the `server` header.
  public func backend(server: String) -> Backend {
    if server.cut(toBytes: 64).lowercased().hasPrefix("llama.cpp") { return .llamaCpp }
    guard let first = entries.first else { return .other }
    switch first.ownedBy {
    case "llamacpp": return .llamaCpp
    case "vllm": return .vLLM
    case "organization_owner": return .lmStudio
    case "transformers-runtime": return .llamaFarm
    case nil where first.type == "model" && first.object == nil: return .anthropic
    default: return .other
    }
  }
}
