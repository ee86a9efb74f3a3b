import Testing
import Text

private let tools = """
  [{"type":"function","function":{"name":"weather","description":"Now.","parameters":{"a":1}}},
  {"type":"function","function":{"name":"time"}},{"type":"custom","custom":{"name":"shell"}}]
  """

private func contract(
  _ members: [String: String]
) throws(ToolContract.Mistake) -> ToolContract? {
  try ToolContract.of { members[$0].map { Array($0.utf8) } }
}

private func isRequired(_ choice: String) -> Bool {
  ToolContract.isRequired { $0 == "tool_choice" ? Array(choice.utf8) : nil }
}

@Suite("The tool call that a request requires")
struct ToolContractTests {
  @Test(
    "choices that leave the call to the model are no contract",
    arguments: [
      #""auto""#, #""none""#, "null", "7", "{}", "{", "[]", #""weather""#,
      #"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}"#,
      #"{"type":"function","function":{}}"#,
    ])
  func none(choice: String) throws {
    #expect(try contract(["tools": tools, "tool_choice": choice]) == nil)
    #expect(!isRequired(choice))
  }

  @Test(
    "a contract has the tools that the answer may call",
    arguments: [
      (#""required""#, ["weather", "time", "shell"], false),
      (#""any""#, ["weather", "time", "shell"], false),
      (#"{"type":"function","function":{"name":"time"}}"#, ["time"], true),
      (#"{"type":"custom","custom":{"name":"shell"}}"#, ["shell"], true),
      (
        #"{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"weather"}}]}}"#,
        ["weather"], false
      ),
    ] as [(String, [String], Bool)])
  func required(_ choice: String, _ names: [String], _ namesOne: Bool) throws {
    let found = try #require(try contract(["tools": tools, "tool_choice": choice]))
    #expect(found.tools.map(\.name) == names)
    #expect(found.namesOne == namesOne && !found.isOlder)
    #expect(isRequired(choice))
    for tool in found.tools { #expect(tool.takesJSON == (tool.name != "shell")) }
    if let weather = found.tools.first(where: { $0.name == "weather" }) {
      #expect(weather.description == "Now." && weather.parameters == Array(#"{"a":1}"#.utf8))
    }
  }

  @Test("the older members name a function, too")
  func older() throws {
    let found = try #require(
      try contract([
        "functions": #"[{"name":"f"},{"name":"g"}]"#, "function_call": #"{"name":"g"}"#,
      ]))
    #expect(found.tools.map(\.name) == ["g"] && found.isOlder && found.namesOne)
    #expect(try contract(["functions": "[]", "function_call": #""auto""#]) == nil)
  }

  @Test("a contract that no answer can meet is a mistake")
  func mistakes() throws {
    for tools in ["[]", "{}", "[1]", #"[{"type":"function","function":{"name":""}}]"#] {
      #expect(throws: ToolContract.Mistake.noTools) {
        try contract(["tools": tools, "tool_choice": #""required""#])
      }
    }
    #expect(throws: ToolContract.Mistake.noTools) {
      try contract(["tool_choice": #""required""#])
    }
    #expect(throws: ToolContract.Mistake.unknownTool("x")) {
      try contract(["tools": tools, "tool_choice": #"{"function":{"name":"x"}}"#])
    }
  }
}
