import ClusterModel
import Text

/// What all chunks of a stream have in common; a client sees one stream, whoever speaks.
struct StreamIdentity: Hashable, Sendable {
  static let names = ["id", "created", "model", "system_fingerprint"]
  /// Name and JSON of those that the first chunk has.
  var members: [(name: String, json: [UInt8])] = []

  init(of data: [UInt8]) {
    guard let scanner = try? JSONObjectScanner(data) else { return }
    for name in Self.names {
      if let value = scanner[name] { members.append((name, Array(scanner.document.slice(value)))) }
    }
  }

  static func == (left: Self, right: Self) -> Bool {
    left.members.elementsEqual(right.members) { $0 == $1 }
  }

  func hash(into hasher: inout Hasher) {
    for member in members {
      hasher.combine(member.name)
      hasher.combine(member.json)
    }
  }
}

/// A chunk said otherwise: with other texts, under another host's name, without its end. What is
/// not named here stays as it was.
struct ChunkRewrite: Sendable {
  struct Call: Sendable {
    /// The index by which the client knows it.
    var index: Int
    /// Whether id and type stay; the client may have them.
    var keepsHeader: Bool
    /// nil: none.
    var name: String?
  }

  var identity: StreamIdentity?
  var keepsRole = true
  /// `finish_reason` and `usage` stay.
  var keepsEnd = true
  var finishReason: String?
  /// In place of the host's. Its details go: they tell of one host's part.
  var usage: Usage?
  /// The texts it has now; what is missing here is empty.
  var texts: [AnswerPart: [UInt8]] = [:]
  /// By the host's own index; what is missing here stays.
  var calls: [Int: Call] = [:]

  /// - Returns: nil when nothing is left to say.
  func apply(to chunk: InferenceChunk) -> InferenceChunk? {
    guard let scanner = try? JSONObjectScanner(chunk.data) else { return chunk }
    var facts = chunk.facts
    var replacements: [(name: String, json: [UInt8])] = []
    var removals: Set<String> = []
    if let identity {
      replacements = identity.members
      removals = Set(StreamIdentity.names).subtracting(identity.members.map(\.name))
    }
    var saysSomething = false
    if let choices = scanner["choices"],
      let first = scanner.document.elements(of: choices).first
    {
      let (json, says) = rewritten(Array(scanner.document.slice(first)), &facts)
      replacements.append(("choices", [UInt8(ascii: "[")] + json + [UInt8(ascii: "]")]))
      saysSomething = says
    }
    if let value = scanner["usage"], value.kind == .object {
      if !keepsEnd {
        removals.insert("usage")
        facts.usage = nil
      } else if let usage {
        replacements.append(("usage", usage.json.encoded))
        facts.usage = usage
        saysSomething = true
      } else {
        saysSomething = true
      }
    }
    guard saysSomething else { return nil }
    return InferenceChunk(
      data: scanner.edited(replacing: replacements, removing: removals), facts: facts)
  }

  private func rewritten(_ choice: [UInt8], _ facts: inout ChunkFacts) -> ([UInt8], says: Bool) {
    guard let scanner = try? JSONObjectScanner(choice) else { return (choice, true) }
    var replacements: [(name: String, json: [UInt8])] = []
    var says = false
    let text = String(decoding: texts[.content] ?? [], as: UTF8.self)
    facts.text = text
    if let delta = scanner["delta"] {
      let (json, deltaSays) = rewritten(delta: Array(scanner.document.slice(delta)), text)
      replacements.append(("delta", json))
      says = deltaSays
      if facts.hasOther { facts.deltaJSON = deltaSays ? json : nil }
      facts.hasOther = facts.hasOther && deltaSays
    } else if scanner["text"] != nil || !text.isEmpty {
      replacements.append(("text", JSON.quoted(text)))
      says = !text.isEmpty
    }
    if !keepsEnd {
      if scanner["finish_reason"] != nil {
        replacements.append(("finish_reason", JSON.null.encoded))
      }
      facts.finishReason = nil
    } else if let finishReason {
      replacements.append(("finish_reason", JSON.quoted(finishReason)))
      facts.finishReason = finishReason
    }
    return (scanner.edited(replacing: replacements), says || facts.finishReason != nil)
  }

  private func rewritten(delta: [UInt8], _ text: String) -> ([UInt8], says: Bool) {
    guard let scanner = try? JSONObjectScanner(delta) else { return (delta, true) }
    let document = scanner.document
    var members: [(String, JSON)] = []
    var says = false
    var needsContent = !text.isEmpty
    for member in scanner.members {
      let raw = JSON.raw(Array(document.slice(member.value)))
      switch member.name {
      case "role":
        if keepsRole {
          members.append((member.name, raw))
          says = true
        }
      case "content":
        guard member.value.kind == .string || needsContent else {
          members.append((member.name, raw))
          continue
        }
        members.append((member.name, .string(text)))
        says = says || !text.isEmpty
        needsContent = false
      case "reasoning_content", "reasoning":
        guard member.value.kind == .string else {
          members.append((member.name, raw))
          continue
        }
        let reasoning = texts[.reasoning] ?? []
        guard !reasoning.isEmpty else { continue }
        members.append((member.name, .string(String(decoding: reasoning, as: UTF8.self))))
        says = true
      case "tool_calls":
        var seen: Set<Int> = []
        let calls = document.elements(of: member.value).enumerated().compactMap {
          rewritten(call: Array(document.slice($1)), position: $0, &seen)
        }
        guard !calls.isEmpty else { continue }
        members.append((member.name, .array(calls.map(JSON.raw))))
        says = true
      default:
        members.append((member.name, raw))
        says = says || member.value.kind != .null
      }
    }
    if needsContent {
      members.append(("content", .string(text)))
      says = true
    }
    return (JSON.object(members).encoded, says)
  }

  /// - Parameter seen: calls of the same chunk. One that comes twice says all at once.
  private func rewritten(call: [UInt8], position: Int, _ seen: inout Set<Int>) -> [UInt8]? {
    guard let scanner = try? JSONObjectScanner(call) else { return call }
    let document = scanner.document
    let index = scanner["index"].flatMap(document.integer) ?? position
    guard seen.insert(index).inserted else { return nil }
    let change = calls[index]
    let arguments = texts[.call(index)] ?? []
    let keepsHeader = change?.keepsHeader ?? true
    var replacements: [(name: String, json: [UInt8])] = []
    if let change { replacements.append(("index", JSON.integer(change.index).encoded)) }
    let (function, saysName) = rewritten(
      function: scanner["function"].map { Array(document.slice($0)) }, change, arguments)
    if let function { replacements.append(("function", function)) }
    guard keepsHeader || saysName || !arguments.isEmpty else { return nil }
    return scanner.edited(
      replacing: replacements, removing: keepsHeader ? [] : ["id", "type"])
  }

  private func rewritten(
    function: [UInt8]?, _ change: Call?, _ arguments: [UInt8]
  ) -> ([UInt8]?, saysName: Bool) {
    let name = change?.name ?? ""
    if function == nil, name.isEmpty, arguments.isEmpty { return (nil, false) }
    guard let scanner = try? JSONObjectScanner(function ?? Array("{}".utf8)) else {
      return (function, false)
    }
    var members: [(name: String, json: [UInt8])] = []
    if !name.isEmpty { members.append(("name", JSON.quoted(name))) }
    if scanner["arguments"] != nil || !arguments.isEmpty {
      members.append(("arguments", JSON.quoted(String(decoding: arguments, as: UTF8.self))))
    }
    let losesName = change != nil && name.isEmpty
    return (
      scanner.edited(replacing: members, removing: losesName ? ["name"] : []),
      saysName: !name.isEmpty || (change == nil && scanner["name"] != nil)
    )
  }
}
