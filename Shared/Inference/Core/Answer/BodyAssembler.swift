public import ClusterModel
public import Limits
import Text

/// Assembles a stream's chunks into one body, for a client that asked for no stream. Keeps every
/// field, including unknown ones.
public struct BodyAssembler: Sendable {
  /// A choice under assembly.
  private struct Choice {
    /// The assembled `delta` or `message`. `nil` means that the choice had neither, as in a plain
    /// completion.
    var message: GrowingObject?
    /// Whether the choice had a `delta`. A later `message` repeats its text and is ignored.
    var hasDelta = false
    /// All members of the choice except `index`, `delta` and `message`.
    var rest = GrowingObject()
  }

  private let endpoint: InferenceEndpoint
  private let limit: Int
  /// Whether the request asks for one choice. The host's choice indices are then ignored.
  private let isOnly: Bool
  private var taken = 0
  private var top = GrowingObject()
  private var choices: [Int: Choice] = [:]
  /// Work and memory spent so far.
  public private(set) var allowance = Allowance(memory: Limits.assembledBytes)

  /// - Parameters:
  ///   - choices: number of choices that the request asks for.
  ///   - limit: maximum bytes of all chunks together.
  public init(
    endpoint: InferenceEndpoint, choices: Int = Limits.answerChoices.value,
    limit: Int = UpstreamLimits().streamBytes
  ) {
    self.endpoint = endpoint
    isOnly = choices == 1
    self.limit = limit
  }

  /// - Throws: `garbage` if the data is not a chunk, `tooLarge` if the chunks together exceed the
  /// limit.
  public mutating func take(_ chunk: InferenceChunk) throws(AttemptFailure) {
    taken = taken.addingCapped(chunk.data.count)
    guard taken <= limit else {
      throw AttemptFailure(.tooLarge, "its answer is larger than \(limit) bytes")
    }
    allowance.receive(chunk.data.count)
    var json = try HostJSON(chunk.data, allowance)
    defer { allowance = json.allowance }
    try json.allowance.charge(json.root.range.count)
    for member in json.document.eachMember(of: json.root) {
      switch member.name {
      case "choices":
        var position = 0
        for choice in try json.elements(of: member.value, "choices") ?? noElements(json) {
          try take(choice: choice, position: position, &json)
          position += 1
        }
        if top.place(of: "choices") == nil { try top.append("choices", .null, &json) }
      case "id", "object", "created", "model":
        // An answer has one identity. Some hosts send an empty value in their first chunk.
        if !top.isSet(member.name) { try top.set(member.name, member.value, &json) }
      default:
        // Some members are counters, such as `usage`. Their last value is the final one.
        try top.set(member.name, member.value, &json)
      }
    }
  }

  private func noElements(_ json: HostJSON) -> JSONElements {
    json.document.eachElement(of: JSONValue(kind: .null, range: json.root.range))
  }

  private mutating func take(
    choice: JSONValue, position: Int, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    try json.allowance.charge(choice.range.count)
    let given = json.document.value("index", in: choice)
    let bound = Limits.answerChoices.value
    let index = isOnly ? 0 : try json.index(given, below: bound, "a choice") ?? position
    guard index < bound else { throw .garbage("more than \(bound) choices") }
    if choices[index] == nil { try json.allowance.charge(buffer: GrowingJSON.entryBytes) }
    var grown = choices.removeValue(forKey: index) ?? Choice()
    defer { choices[index] = grown }
    if !grown.hasDelta {
      try json.allowance.charge(choice.range.count)
      grown.hasDelta = json.document.value("delta", in: choice)?.kind == .object
    }
    for member in json.document.eachMember(of: choice) {
      switch member.name {
      case "index": break
      case "delta", "message":
        guard member.value.kind == .object, member.name == "delta" || !grown.hasDelta else {
          continue
        }
        if grown.message == nil { grown.message = GrowingObject() }
        try json.allowance.charge(member.value.range.count)
        for gain in json.document.eachMember(of: member.value) {
          try grown.message?.gain(gain.name, gain.value, &json)
        }
      case "text", "logprobs": try grown.rest.gain(member.name, member.value, &json)
      // Hosts add elements to arrays with each token, except to arrays about the prompt.
      case _ where member.value.kind == .array && !member.name.hasPrefix("prompt_"):
        try grown.rest.gain(member.name, member.value, under: GrowingJSON.list, &json)
      default: try grown.rest.set(member.name, member.value, &json)
      }
    }
  }

  /// - Throws: `garbage` if no chunk had a choice.
  public func body() throws(AttemptFailure) -> [UInt8] {
    guard !choices.isEmpty else {
      throw AttemptFailure(.garbage, "its answer has no choice")
    }
    var bytes: [UInt8] = [UInt8(ascii: "{")]
    for (place, member) in top.members.enumerated() {
      if place > 0 { bytes.append(UInt8(ascii: ",")) }
      JSON.appendString(member.name, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      switch member.name {
      case "choices": appendChoices(to: &bytes)
      case "object" where endpoint == .chatCompletions: bytes += #""chat.completion""#.utf8
      default: member.value.append(to: &bytes)
      }
    }
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }

  private func appendChoices(to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "["))
    for (place, choice) in choices.sorted(by: { $0.key < $1.key }).enumerated() {
      if place > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes += #"{"index":\#(choice.key)"#.utf8
      if endpoint == .chatCompletions {
        var message = choice.value.message ?? GrowingObject()
        // A stream may omit members that a message always has.
        message.complete("content", with: .null)
        message.complete("role", with: .string(Array("assistant".utf8)))
        message.dropCallIndices()
        bytes += #","message":"#.utf8
        message.append(to: &bytes)
      }
      for member in choice.value.rest.members {
        bytes.append(UInt8(ascii: ","))
        JSON.appendString(member.name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        member.value.append(to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: "]"))
  }
}
