public import ClusterModel
import Limits
public import Text

/// Formats server-sent events as bytes.
public enum SSE {
  /// Formats an event as one line, which every client can read. Each line break in the JSON is
  /// white space and becomes a space.
  public static func data(_ json: [UInt8]) -> [UInt8] {
    var event: [UInt8] = []
    event.reserveCapacity(json.count + 8)
    append(data: json, to: &event)
    return event
  }

  /// Appends an event in the form of `data(_:)`.
  public static func append(data json: [UInt8], to bytes: inout [UInt8]) {
    bytes += opening
    let start = bytes.count
    bytes += trimmed(json)
    for index in start..<bytes.count where isLineEnd(bytes[index]) { bytes[index] = 0x20 }
    bytes += ending
  }

  /// Returns the event of `data(_:)` in pieces. Each piece is made just before it is sent, so that
  /// a large event is not copied whole.
  public static func pieces(ofData json: [UInt8], atMost length: Int) -> Pieces {
    Pieces(rest: trimmed(json), length: length)
  }

  public struct Pieces: Sequence, IteratorProtocol {
    fileprivate var rest: ArraySlice<UInt8>
    fileprivate let length: Int
    private var isOpened = false
    private var isEnded = false

    fileprivate init(rest: ArraySlice<UInt8>, length: Int) {
      self.rest = rest
      self.length = length
    }

    public mutating func next() -> [UInt8]? {
      guard isOpened else {
        isOpened = true
        return SSE.opening
      }
      guard rest.isEmpty else {
        defer { rest = rest.dropFirst(length) }
        return rest.prefix(length).map { SSE.isLineEnd($0) ? 0x20 : $0 }
      }
      defer { isEnded = true }
      return isEnded ? nil : SSE.ending
    }
  }

  private static let opening = Array("data: ".utf8)
  private static let ending: [UInt8] = [0x0A, 0x0A]

  private static func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

  /// Removes the white space with which some hosts pad a body.
  private static func trimmed(_ json: [UInt8]) -> ArraySlice<UInt8> {
    var json = json[...]
    while let last = json.last, last <= 0x20 { json.removeLast() }
    return json.drop { $0 <= 0x20 }
  }

  /// Formats a comment, which every client ignores. The text must be one line.
  public static func comment(_ text: [UInt8]) -> [UInt8] {
    Array(": ".utf8) + text + [0x0A, 0x0A]
  }

  public static let done = Array("data: [DONE]\n\n".utf8)
  public static let keepAlive = Array(": keep-alive\n\n".utf8)
}

/// Makes the chunks and the body of one chat answer, all with the same id, model name and date.
public struct ChatComposer: Hashable, Sendable {
  public let id: String
  let model: String
  /// Seconds since 1970.
  let created: Int

  public init(id: String, model: String, created: Int) {
    self.id = id
    self.model = model
    self.created = created
  }

  /// Copies id, model and date from a host's chunk, so that added chunks match it.
  public init?(following chunk: [UInt8]) {
    guard let scanner = try? JSONObjectScanner(chunk),
      let id = scanner["id"].flatMap(scanner.document.string)
    else { return nil }
    self.init(
      id: id, model: scanner["model"].flatMap(scanner.document.string) ?? "",
      created: scanner["created"].flatMap(scanner.document.integer) ?? 0)
  }

  public func opening() -> [UInt8] {
    chunk(choice(delta: ["role": "assistant", "content": ""], finish: nil))
  }

  public func delta(_ delta: TaskDelta) -> [UInt8] {
    chunk(
      choice(
        delta: delta.deltaJSON.map { .raw($0) } ?? ["content": .string(delta.text)], finish: nil))
  }

  public func closing(finish: String, adding more: [(String, JSON)] = []) -> [UInt8] {
    chunk(choice(delta: [:], finish: finish), more)
  }

  /// A chunk without choices, such as the one with the usage.
  public func extra(_ more: [(String, JSON)]) -> [UInt8] { chunk([], more) }

  public func body(
    message: JSON, finish: String, usage: Usage, adding more: [(String, JSON)] = []
  ) -> [UInt8] {
    let choice: JSON = [
      "index": 0, "message": message, "logprobs": nil, "finish_reason": .string(finish),
    ]
    return JSON.object(
      head("chat.completion") + [("choices", [choice]), ("usage", Self.usage(usage))] + more
    ).encoded
  }

  /// OpenAI's `usage` object. It has details only if prompt tokens were cached.
  public static func usage(_ usage: Usage) -> JSON {
    var members: [(String, JSON)] = [
      ("prompt_tokens", .integer(usage.promptTokens)),
      ("completion_tokens", .integer(usage.completionTokens)),
      ("total_tokens", .integer(usage.totalTokens)),
    ]
    if usage.cachedTokens > 0 {
      members.append(
        ("prompt_tokens_details", ["cached_tokens": .integer(usage.cachedTokens)]))
    }
    return .object(members)
  }

  private func choice(delta: JSON, finish: String?) -> JSON {
    [["index": 0, "delta": delta, "finish_reason": finish.map { .string($0) } ?? nil]]
  }

  private func chunk(_ choices: JSON, _ more: [(String, JSON)] = []) -> [UInt8] {
    JSON.object(head("chat.completion.chunk") + [("choices", choices)] + more).encoded
  }

  private func head(_ object: String) -> [(String, JSON)] {
    [
      ("id", .string(id)), ("object", .string(object)), ("created", .integer(created)),
      ("model", .string(model)),
    ]
  }
}

/// Joins the deltas of one answer into the message for a client that does not stream.
public struct MessageAssembler: Sendable {
  private struct Call {
    var fields: [(String, JSON)] = []
    var name = ""
    var arguments = ""

    mutating func add(function: JSONValue, _ document: JSONDocument) {
      name += document.value("name", in: function).flatMap(document.string) ?? ""
      arguments += document.value("arguments", in: function).flatMap(document.string) ?? ""
    }

    var function: JSON { ["name": .string(name), "arguments": .string(arguments)] }
  }

  public private(set) var text = ""
  private var others: [(name: String, text: String)] = []
  /// Positions in `others` by name.
  private var places: [String: Int] = [:]
  private var calls: [Int: Call] = [:]
  /// The call of a client that uses the older member `functions`.
  private var functionCall: Call?

  public init() {}

  public mutating func add(_ delta: TaskDelta) {
    text += delta.text
    guard let json = delta.deltaJSON, let scanner = try? JSONObjectScanner(json) else { return }
    for member in scanner.members {
      switch member.name {
      case "role", "content": break
      case "tool_calls":
        scanner.document.forEachElement(of: member.value) {
          add(call: $0, scanner.document)
          return true
        }
      case "function_call":
        guard member.value.kind == .object else { continue }
        var call = functionCall ?? Call()
        call.add(function: member.value, scanner.document)
        functionCall = call
      default:
        guard let gained = scanner.document.string(member.value) else { continue }
        if let place = places[member.name] {
          others[place].text += gained
        } else if others.count < Limits.assembledNames.value {
          places[member.name] = others.count
          others.append((member.name, gained))
        }
      }
    }
  }

  private mutating func add(call value: JSONValue, _ document: JSONDocument) {
    let index = document.value("index", in: value).flatMap(document.integer) ?? calls.count
    // A model makes fewer parallel calls than this. A host's invalid indexes must not cost memory.
    guard (0..<1_024).contains(index) else { return }
    var call = calls[index] ?? Call()
    document.forEachMember(of: value) { member in
      switch member.name {
      case "index": break
      case "function":
        call.add(function: member.value, document)
      default:
        if call.fields.count < Limits.assembledNames.value,
          !call.fields.contains(where: { $0.0 == member.name })
        {
          call.fields.append((member.name, .raw(Array(document.slice(member.value)))))
        }
      }
      return true
    }
    calls[index] = call
  }

  public var message: JSON {
    // A message with tool calls or a refusal may have no text.
    let isElsewhere =
      !calls.isEmpty || functionCall != nil
      || others.contains { $0.name == "refusal" && !$0.text.isEmpty }
    var members: [(String, JSON)] = [
      ("role", "assistant"),
      ("content", text.isEmpty && isElsewhere ? nil : .string(text)),
    ]
    members += others.map { ($0.name, .string($0.text)) }
    if !calls.isEmpty {
      members.append(
        (
          "tool_calls",
          .array(
            calls.sorted { $0.key < $1.key }.map { entry in
              let call = entry.value
              return .object(
                call.fields + [
                  ("function", call.function)
                ])
            })
        ))
    }
    if let functionCall { members.append(("function_call", functionCall.function)) }
    return .object(members)
  }
}
