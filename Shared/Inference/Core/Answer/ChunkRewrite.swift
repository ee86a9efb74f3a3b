import ClusterModel
import Limits
import Text

/// Rewrites a chunk: replaces its texts, calls and identity, and can remove its end. Other members
/// stay unchanged, except that `message` is removed, and that a partial chunk (`isPart`) loses long
/// members.
struct ChunkRewrite: Sendable {
  struct Call: Sendable {
    /// The client's index of the call.
    var index: Int
    /// Whether the call's ID and type stay. They are removed if the client already has them.
    var keepsHeader: Bool
    /// The call's name in the rewritten chunk. `nil` removes it.
    var name: String?
  }

  /// Members of each object that the rewrite reads. An object must not have one of them twice. A
  /// partial chunk keeps them even if they are long, except members of a `delta` that hold no text
  /// of the answer.
  private enum Read {
    static let chunk: Set<String> = ["choices", "usage"]
    static let choice: Set<String> = ["delta", "text", "finish_reason"]
    static let delta: Set<String> = [
      "role", "content", "reasoning", "reasoning_content", "tool_calls",
    ]
    static let call: Set<String> = ["id", "index", "function"]
    static let function: Set<String> = ["name", "arguments"]
  }

  var identity: StreamIdentity?
  var keepsRole = true
  /// Whether the chunk keeps `finish_reason` and `usage`.
  var keepsEnd = true
  /// Whether the chunk carries a part of its text that is not the last part. Long unknown members
  /// are then left for the last part, so that the client gets them once.
  var isPart = false
  var finishReason: String?
  /// Usage that replaces the host's. It has the cached tokens, but no other details of the host's
  /// usage, because they describe only one host's part.
  var usage: Usage?
  /// The new texts. A part without an entry becomes empty.
  var texts: [AnswerPart: [UInt8]] = [:]
  /// Changes to calls, by the host's index of the call. A call without an entry keeps its index,
  /// ID, type and name.
  var calls: [Int: Call] = [:]

  /// - Returns: `nil` if the rewritten chunk would be empty.
  /// - Throws: `garbage` if the chunk cannot be read.
  func apply(to chunk: InferenceChunk) throws(AttemptFailure) -> InferenceChunk? {
    let scanner = try Self.scan(chunk.data, "a chunk", Read.chunk)
    var facts = chunk.facts
    var replacements: [(name: String, json: [UInt8])] = []
    var removals: Set<String> = []
    if let identity {
      replacements = identity.members
      removals = Set(StreamIdentity.names).subtracting(identity.members.map(\.name))
    }
    if isPart { removals.formUnion(long(scanner, but: Read.chunk)) }
    var isNonEmpty = false
    if let choices = scanner["choices"] {
      let elements = scanner.document.elements(of: choices)
      guard elements.count <= 1 else {
        throw AttemptFailure(.garbage, "it sent several choices in a chunk of one choice")
      }
      if let first = elements.first {
        let (json, hasContent) = try rewritten(Array(scanner.document.slice(first)), &facts)
        replacements.append(("choices", [UInt8(ascii: "[")] + json + [UInt8(ascii: "]")]))
        isNonEmpty = hasContent
      }
    }
    if let value = scanner["usage"], value.kind == .object {
      if !keepsEnd {
        removals.insert("usage")
        facts.usage = nil
      } else if let usage {
        replacements.append(("usage", usage.json.encoded))
        facts.usage = usage
        isNonEmpty = true
      } else {
        isNonEmpty = true
      }
    }
    guard isNonEmpty else { return nil }
    return InferenceChunk(
      data: scanner.edited(replacing: replacements, removing: removals), facts: facts)
  }

  private static let emptyObject = Array("{}".utf8)

  /// - Parameter names: members that are read. Each must be unique, because a choice between
  ///   duplicates would be a guess.
  /// - Throws: `garbage` if the JSON is not an object, has too many members, or has one of `names`
  ///   twice.
  private static func scan(
    _ json: [UInt8], _ what: String, _ names: Set<String>
  ) throws(AttemptFailure) -> JSONObjectScanner {
    let scanner: JSONObjectScanner
    do throws(JSONError) {
      scanner = try JSONObjectScanner(json, maximumMembers: Limits.answerMembers.value)
    } catch {
      throw AttemptFailure(.garbage, "it sent \(what) that cannot be read: \(error)")
    }
    guard names.isDisjoint(with: scanner.duplicates) else {
      throw AttemptFailure(.garbage, "it sent \(what) that has a member twice")
    }
    return scanner
  }

  /// Names of the long members that are not in `names`.
  private func long(_ scanner: JSONObjectScanner, but names: Set<String>) -> [String] {
    scanner.members.filter { Self.isLong($0) && !names.contains($0.name) }.map(\.name)
  }

  private static func isLong(_ member: JSONMember) -> Bool {
    member.nameRange.count + member.value.range.count > 2 * Limits.nameBytes.value
  }

  private func rewritten(
    _ choice: [UInt8], _ facts: inout ChunkFacts
  ) throws(AttemptFailure) -> ([UInt8], hasContent: Bool) {
    let scanner = try Self.scan(choice, "a choice", Read.choice)
    var replacements: [(name: String, json: [UInt8])] = []
    var hasContent = false
    let text = String(decoding: texts[.content] ?? [], as: UTF8.self)
    let hadText = !facts.text.isEmpty
    facts.text = text
    var removals: Set<String> = isPart ? Set(long(scanner, but: Read.choice)) : []
    // Some hosts repeat the text in several members of a choice, or send `message` instead of
    // `delta`.
    let message = scanner["message"].flatMap { $0.kind == .null ? nil : $0 }
    let own = scanner["delta"].flatMap { $0.kind == .null ? nil : $0 }
    if let delta = own ?? message ?? scanner["delta"], delta.kind != .null || !text.isEmpty {
      removals.insert("message")
      let old = delta.kind == .null ? Self.emptyObject : Array(scanner.document.slice(delta))
      if scanner["text"]?.kind == .string { replacements.append(("text", JSON.quoted(text))) }
      let (json, deltaHasContent) = try rewritten(delta: old, text, hadText: hadText)
      replacements.append(("delta", json))
      hasContent = deltaHasContent
      if facts.hasOther { facts.deltaJSON = deltaHasContent ? json : nil }
      facts.hasOther = facts.hasOther && deltaHasContent
    } else if scanner["delta"] == nil, scanner["text"] != nil || !text.isEmpty {
      replacements.append(("text", JSON.quoted(text)))
      hasContent = !text.isEmpty
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
    return (
      scanner.edited(replacing: replacements, removing: removals),
      hasContent || facts.finishReason != nil
    )
  }

  /// - Parameter hadText: whether the chunk had text. The text may be in the parts of an array.
  private func rewritten(
    delta: [UInt8], _ text: String, hadText: Bool
  ) throws(AttemptFailure) -> ([UInt8], hasContent: Bool) {
    let scanner = try Self.scan(delta, "a delta", Read.delta)
    let document = scanner.document
    var members: [(String, JSON)] = []
    var hasContent = false
    var needsContent = !text.isEmpty
    for member in scanner.members {
      let raw = JSON.raw(Array(document.slice(member.value)))
      switch member.name {
      case "role":
        if keepsRole, !isPart || !Self.isLong(member) {
          members.append((member.name, raw))
          hasContent = true
        }
      case "content":
        let isText = member.value.kind == .string || member.value.kind == .array && hadText
        guard isText || needsContent else {
          if !isPart || !Self.isLong(member) { members.append((member.name, raw)) }
          continue
        }
        members.append((member.name, .string(text)))
        hasContent = hasContent || !text.isEmpty
        needsContent = false
      case "reasoning_content", "reasoning":
        guard member.value.kind == .string else {
          if !isPart || !Self.isLong(member) { members.append((member.name, raw)) }
          continue
        }
        let reasoning = texts[.reasoning] ?? []
        guard !reasoning.isEmpty else { continue }
        members.append((member.name, .string(String(decoding: reasoning, as: UTF8.self))))
        hasContent = true
      case "tool_calls":
        let calls = try rewritten(calls: member.value, document)
        guard !calls.isEmpty else { continue }
        members.append((member.name, .array(calls.map(JSON.raw))))
        hasContent = true
      default:
        if isPart, Self.isLong(member) { continue }
        members.append((member.name, raw))
        hasContent = hasContent || member.value.kind != .null
      }
    }
    if needsContent {
      members.append(("content", .string(text)))
      hasContent = true
    }
    return (JSON.object(members).encoded, hasContent)
  }

  private func rewritten(
    calls: JSONValue, _ document: JSONDocument
  ) throws(AttemptFailure) -> [[UInt8]] {
    var seen: Set<Int> = []
    var rewritten: [[UInt8]] = []
    for (position, call) in document.elements(of: calls).enumerated() {
      if let call = try self.rewritten(call: Array(document.slice(call)), position, &seen) {
        rewritten.append(call)
      }
    }
    return rewritten
  }

  /// - Parameter seen: indices of calls that were already rewritten in this chunk. If a call occurs
  ///   twice, its first occurrence gets all the text.
  private func rewritten(
    call: [UInt8], _ position: Int, _ seen: inout Set<Int>
  ) throws(AttemptFailure) -> [UInt8]? {
    let scanner = try Self.scan(call, "a tool call", Read.call)
    let document = scanner.document
    let index = try ChunkDelta.index(scanner["index"], position, document)
    guard seen.insert(index).inserted else { return nil }
    let change = calls[index]
    let arguments = texts[.call(index)] ?? []
    let keepsHeader = change?.keepsHeader ?? true
    var replacements: [(name: String, json: [UInt8])] = []
    if let change { replacements.append(("index", JSON.integer(change.index).encoded)) }
    let (function, hasName) = try rewritten(
      function: scanner["function"].flatMap {
        $0.kind == .null ? nil : Array(document.slice($0))
      }, change, arguments)
    if let function { replacements.append(("function", function)) }
    guard keepsHeader || hasName || !arguments.isEmpty else { return nil }
    var removals: Set<String> = keepsHeader ? [] : ["id", "type"]
    if isPart { removals.formUnion(long(scanner, but: Read.call)) }
    return scanner.edited(replacing: replacements, removing: removals)
  }

  private func rewritten(
    function: [UInt8]?, _ change: Call?, _ arguments: [UInt8]
  ) throws(AttemptFailure) -> ([UInt8]?, hasName: Bool) {
    let name = change?.name ?? ""
    if function == nil, name.isEmpty, arguments.isEmpty { return (nil, false) }
    let scanner = try Self.scan(
      function ?? Self.emptyObject, "the function of a tool call", Read.function)
    var members: [(name: String, json: [UInt8])] = []
    if !name.isEmpty { members.append(("name", JSON.quoted(name))) }
    if scanner["arguments"] != nil || !arguments.isEmpty {
      members.append(("arguments", JSON.quoted(String(decoding: arguments, as: UTF8.self))))
    }
    let losesName = change != nil && name.isEmpty
    var removals: Set<String> = losesName ? ["name"] : []
    if isPart { removals.formUnion(long(scanner, but: Read.function)) }
    return (
      scanner.edited(replacing: members, removing: removals),
      hasName: !name.isEmpty || (change == nil && scanner["name"] != nil)
    )
  }
}
