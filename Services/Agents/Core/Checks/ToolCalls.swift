import ClusterModel
import Text

/// A call of a tool.
public struct ToolCall: Equatable, Sendable {
  public var name: String
  /// JSON, or any text for a custom tool.
  public var arguments: String
}

/// The tool calls of an answer, assembled from its deltas. Their bytes are limited with those of
/// the deltas, by the reader of the answer.
struct ToolCalls: Equatable, Sendable {
  private(set) var all: [ToolCall] = []
  /// Position in `all` of the call that has an index in the deltas.
  private var positions: [Int: Int] = [:]

  /// - Parameter delta: the whole `delta` object of a chunk.
  mutating func take(_ delta: [UInt8]) {
    guard let document = try? JSONDocument(validating: delta) else { return }
    if let call = document.value("function_call", in: document.root), call.kind == .object {
      append(call, in: document, to: all.isEmpty ? begin() : 0)
    }
    guard let calls = document.value("tool_calls", in: document.root) else { return }
    for element in document.elements(of: calls) {
      let call =
        document.value("function", in: element) ?? document.value("custom", in: element) ?? element
      append(call, in: document, to: position(of: element, call, in: document))
    }
  }

  private mutating func begin() -> Int {
    all.append(ToolCall(name: "", arguments: ""))
    return all.count - 1
  }

  private mutating func position(
    of element: JSONValue, _ call: JSONValue, in document: JSONDocument
  ) -> Int {
    guard let index = document.value("index", in: element).flatMap(document.integer) else {
      // Some hosts send whole calls without an index. A delta without a name continues a call.
      let hasName = document.value("name", in: call).flatMap(document.string)?.isEmpty == false
      return hasName || all.isEmpty ? begin() : all.count - 1
    }
    if let known = positions[index] { return known }
    let position = begin()
    positions[index] = position
    return position
  }

  private mutating func append(_ call: JSONValue, in document: JSONDocument, to position: Int) {
    // Some hosts repeat the name in every delta.
    if all[position].name.isEmpty,
      let name = document.value("name", in: call).flatMap(document.string)
    {
      all[position].name = name
    }
    let written =
      document.value("arguments", in: call) ?? document.value("input", in: call)
    guard let written, written.kind != .null else { return }
    // Some hosts send the arguments as an object in place of its text.
    all[position].arguments +=
      document.string(written) ?? String(decoding: document.slice(written), as: UTF8.self)
  }
}

/// Checks the calls of an answer against the tools that it may call.
struct ToolCallCheck: Sendable {
  /// Maximum bytes of a mistake. A schema may list thousands of values.
  private static let mistakeBytes = 512

  let contract: ToolContract
  /// Schemas of the arguments, by name of the tool.
  private let schemas: [String: ContractSchema]
  private let customTools: Set<String>

  init(_ contract: ToolContract) {
    self.contract = contract
    var schemas: [String: ContractSchema] = [:]
    for tool in contract.tools where tool.takesJSON && schemas[tool.name] == nil {
      let text = tool.parameters.map { String(decoding: $0, as: UTF8.self) }
      schemas[tool.name] = text.flatMap { ContractSchema($0) } ?? ContractSchema()
    }
    self.schemas = schemas
    customTools = Set(contract.tools.filter { !$0.takesJSON }.map(\.name))
  }

  /// Whether the answer calls at least one tool, and only tools that it may call.
  func isPermitted(_ calls: [ToolCall]) -> Bool {
    !calls.isEmpty && calls.allSatisfy { isKnown($0.name) }
  }

  private func isKnown(_ name: String) -> Bool {
    schemas[name] != nil || customTools.contains(name)
  }

  /// Describes the first mistake, for the model that wrote the calls. `nil` means that they fit.
  func mistake(in calls: [ToolCall]) -> String? {
    guard !calls.isEmpty else { return "it calls no function" }
    for call in calls {
      if let mistake = mistake(in: call) { return mistake }
    }
    return nil
  }

  func mistake(in call: ToolCall) -> String? {
    guard isKnown(call.name) else { return "it calls a function that is not in the list" }
    guard let schema = schemas[call.name] else { return nil }
    // A call without arguments may have an empty text.
    let text = call.arguments.allSatisfy(\.isWhitespace) ? "{}" : call.arguments
    guard let document = try? JSONDocument(validating: Array(text.utf8)),
      document.root.kind == .object
    else { return "the arguments of the call are not one JSON object" }
    return schema.mistake(in: document.root, document).map {
      "the arguments of the call do not fit: \($0.cut(toBytes: Self.mistakeBytes))"
    }
  }

  /// Whether a call that was written as text fits a tool. The text of a custom tool is not JSON, so
  /// JSON that names one is no call of it.
  func fits(_ call: ToolCall) -> Bool { schemas[call.name] != nil && mistake(in: call) == nil }

  /// Whether the only tool has required arguments, and `json` has them. Such an object is a call,
  /// even without the tool's name.
  func areArguments(_ json: String) -> Bool {
    guard contract.tools.count == 1, let tool = contract.tools.first,
      let schema = schemas[tool.name], !schema.required.isEmpty
    else { return false }
    return mistake(in: ToolCall(name: tool.name, arguments: json)) == nil
  }
}
