/// The tool call that an answer must contain: the meaning of `tool_choice` in a request.
public struct ToolContract: Equatable, Sendable {
  /// A tool that the answer may call.
  public struct Tool: Equatable, Sendable {
    public let name: String
    /// Empty if the request gives none.
    public let description: String
    /// JSON Schema of the arguments. `nil` means that the request gives none.
    public let parameters: [UInt8]?
    /// Whether the arguments are JSON. A custom tool takes any text.
    public let takesJSON: Bool
  }

  /// A contract that no answer can meet.
  public enum Mistake: Error, Equatable, Sendable {
    /// The request has no tools.
    case noTools
    /// The request names a tool that it does not have.
    case unknownTool(String)
  }

  /// Tools that the answer may call. It must call at least one of them. Never empty.
  public let tools: [Tool]
  /// Whether the request names one tool. The answer then has one call.
  public let namesOne: Bool
  /// Whether the request has the older members `functions` and `function_call`.
  public let isOlder: Bool

  /// Names of the members that describe tools. A request for a call in plain text has none of them.
  public static let members: Set<String> = [
    "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call",
  ]

  /// Reads the contract of a request.
  ///
  /// - Parameter member: the JSON of a member of the request. `nil` means that it has none.
  /// - Returns: `nil` if the answer need not call a tool. An unknown form of `tool_choice` is left
  ///   to the host.
  public static func of(
    _ member: (String) -> [UInt8]?
  ) throws(Mistake) -> ToolContract? {
    if let demand = member("tool_choice").flatMap(Demand.init(choice:)) {
      return try contract(demand, among: member("tools"), isOlder: false)
    }
    if let demand = member("function_call").flatMap(Demand.init(choice:)) {
      return try contract(demand, among: member("functions"), isOlder: true)
    }
    return nil
  }

  /// Whether the answer must call a tool. The tools are not read.
  ///
  /// - Parameter member: the JSON of a member of the request. `nil` means that it has none.
  public static func isRequired(by member: (String) -> [UInt8]?) -> Bool {
    ["tool_choice", "function_call"].contains { member($0).flatMap(Demand.init(choice:)) != nil }
  }

  /// - Parameter tools: the request's array of tools.
  private static func contract(
    _ demand: Demand, among tools: [UInt8]?, isOlder: Bool
  ) throws(Mistake) -> ToolContract {
    let all = tools.map(Self.tools(in:)) ?? []
    guard !all.isEmpty else { throw .noTools }
    switch demand {
    case .any: return ToolContract(tools: all, namesOne: false, isOlder: isOlder)
    case .one(let name):
      guard let tool = all.first(where: { $0.name == name }) else { throw .unknownTool(name) }
      return ToolContract(tools: [tool], namesOne: true, isOlder: isOlder)
    case .some(let names):
      let known = Set(all.map(\.name))
      if let name = names.first(where: { !known.contains($0) }) { throw .unknownTool(name) }
      let allowed = Set(names)
      let permitted = all.filter { allowed.contains($0.name) }
      guard !permitted.isEmpty else { throw .noTools }
      return ToolContract(tools: permitted, namesOne: false, isOlder: isOlder)
    }
  }

  /// Reads the tools of a request. Elements without a name are left out.
  private static func tools(in json: [UInt8]) -> [Tool] {
    guard let document = try? JSONDocument(validating: json) else { return [] }
    return document.elements(of: document.root).compactMap { element in
      let custom = document.value("custom", in: element)
      // An element of `functions` has no object around it.
      let tool = document.value("function", in: element) ?? custom ?? element
      guard let name = document.value("name", in: tool).flatMap(document.string), !name.isEmpty
      else { return nil }
      return Tool(
        name: name,
        description: document.value("description", in: tool).flatMap(document.string) ?? "",
        parameters: document.value("parameters", in: tool).flatMap {
          $0.kind == .object ? Array(document.slice($0)) : nil
        }, takesJSON: custom == nil)
    }
  }

  /// The tools that a request demands a call of.
  private enum Demand {
    case any
    case one(String)
    case some([String])

    /// - Returns: `nil` if the answer need not call a tool.
    init?(choice: [UInt8]) {
      guard let document = try? JSONDocument(validating: choice) else { return nil }
      let root = document.root
      if let word = document.string(root) {
        // Some servers name this choice `any`.
        guard word == "required" || word == "any" else { return nil }
        self = .any
        return
      }
      if let allowed = document.value("allowed_tools", in: root) {
        guard document.value("mode", in: allowed).flatMap(document.string) == "required" else {
          return nil
        }
        let tools = document.value("tools", in: allowed).map(document.elements(of:)) ?? []
        self = .some(tools.compactMap { Self.name(of: $0, in: document) })
        return
      }
      guard let name = Self.name(of: root, in: document) else { return nil }
      self = .one(name)
    }

    private static func name(of choice: JSONValue, in document: JSONDocument) -> String? {
      let tool =
        document.value("function", in: choice) ?? document.value("custom", in: choice) ?? choice
      return document.value("name", in: tool).flatMap(document.string)
    }
  }
}
