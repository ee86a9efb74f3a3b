import AgentCore
import ClusterModel
import ClusterTesting
import Testing

private let planSchema = """
  {"type":"object","required":["agents"],"properties":{
    "agents":{"type":"array","minItems":1,"maxItems":3,"items":{
      "type":"object","required":["role","brief"],
      "properties":{"role":{"enum":["research","code"]},"brief":{"type":"string","maxLength":20}}}},
    "rounds":{"type":"integer"},"note":{"type":["string","null"]}}}
  """

private func check(_ text: String, _ schema: String = planSchema) -> ContractCheck.Verdict {
  ContractCheck.check(text, against: .json(schema: schema))
}

private let good = #"{"agents":[{"role":"code","brief":"sort it"}]}"#

@Suite("Outputs of models compared with their contract")
struct AgentContractTests {
  @Test(
    "JSON is extracted from the text around it",
    arguments: [
      good, "  \n\(good)\n", "```json\n\(good)\n```", "Sure! Here it is:\n\(good)\nHope it helps.",
      "As [1] and {so} say: \(good)", "[1, 2] \(good)", "{oops: \(good)}", "{\"a\": \(good) }",
      "\(good) \(good)", "{\n{\n\(good)",
    ])
  func extraction(text: String) {
    // Inside a complete object, the text is a member of that object and not the answer.
    guard !text.hasPrefix("{\"a\"") else {
      #expect(check(text) == .broken("\"agents\" is missing"))
      return
    }
    #expect(check(text) == .met(good))
  }

  @Test("members that the schema does not name are welcome")
  func additional() {
    let more = #"{"thoughts":"hm","agents":[{"role":"code","brief":"x","why":[1]}],"note":null}"#
    #expect(check(more) == .met(more))
  }

  @Test(
    "a mistake is named where it is",
    arguments: [
      ("", "there is no JSON in it"), ("I cannot do that.", "there is no JSON in it"),
      (#"{"agents": ["#, "its JSON is not valid or not whole"),
      (#"{'agents': []}"#, "its JSON is not valid or not whole"),
      (#"{"agents":[{"role":"code","brief":"x"},]}"#, "its JSON is not valid or not whole"),
      ("[]", "the value must be object, not array"), ("{}", "\"agents\" is missing"),
      (#"{"agents":"code"}"#, "\"agents\" must be array, not string"),
      (#"{"agents":[]}"#, "\"agents\" must have at least 1 items"),
      (
        #"{"agents":[{"role":"cook","brief":"x"}]}"#,
        #""agents[0].role" must be one of "research", "code""#
      ),
      (#"{"agents":[{"role":"code"}]}"#, "\"agents[0].brief\" is missing"),
      (
        #"{"agents":[{"role":"code","brief":"123456789012345678901"}]}"#,
        "\"agents[0].brief\" must have at most 20 characters"
      ),
      (#"{"rounds":1.5,"agents":[]}"#, "\"rounds\" must be integer, not number"),
    ])
  func mistakes(text: String, mistake: String) {
    #expect(check(text) == .broken(mistake))
  }

  @Test("of JSON that was cut off what is whole is taken, when that is enough")
  func cutOff() {
    let first = #"{"role":"code","brief":"a {[\", b"}"#
    let whole = #"{"agents":[\#(first)]}"#
    for rest in [",", #",{"role":"co"#, #",{"role":"code","#, #",{"role":"code","brief":"x"#, "]"] {
      #expect(check("Here: {\"agents\":[\(first)\(rest)") == .met(whole), "\(rest)")
    }
    // These texts cannot be repaired: no agent is complete, or the JSON is wrong and not only cut.
    for text in [#"{"agents":[{"role":"code","#, #"{"agents":[{"role":"code"},"#, #"{"a":1,]"#] {
      #expect(check(text) == .broken("its JSON is not valid or not whole"), "\(text)")
    }
  }

  @Test("too many items are too many, and 2.0 is an integer")
  func borders() {
    let item = #"{"role":"code","brief":"x"}"#
    let four = #"{"agents":[\#([item, item, item, item].joined(separator: ","))]}"#
    #expect(check(four) == .broken("\"agents\" must have at most 3 items"))
    let two = #"{"rounds":2.0,"agents":[\#(item)]}"#
    #expect(check(two) == .met(two))
  }

  @Test("with a schema that is none, any JSON will do; a lone value counts when it stands alone")
  func noSchema() {
    #expect(check("here: [1]", "not a schema") == .met("[1]"))
    #expect(check(" 7 ", #"{"type":"integer"}"#) == .met("7"))
    #expect(check("It is 7.", #"{"type":"integer"}"#) == .broken("there is no JSON in it"))
  }

  @Test(
    "a choice is the word that was meant",
    arguments: [
      ("accept", "accept"), ("Accept.", "accept"), ("**REVISE**\n", "revise"),
      ("I would accept this answer.", "accept"),
      ("accept, since there is nothing to revise", "accept"),
      ("acept", "accept"), ("do not accept", "do not accept"), ("\"revise\"", "revise"),
    ])
  func choice(text: String, word: String) {
    let contract = OutputContract.choice(["accept", "revise", "do not accept"])
    #expect(ContractCheck.check(text, against: contract) == .met(word))
  }

  @Test(
    "a text without exactly one allowed choice breaks the contract",
    arguments: ["", "perhaps", "One may accept or revise.", "xxxxxx", "?", "accepting things"])
  func noChoice(text: String) {
    let contract = OutputContract.choice(["accept", "revise"])
    #expect(
      ContractCheck.check(text, against: contract)
        == .broken("it must be exactly one of: accept, revise"))
  }

  @Test("another word of a script with long characters is not taken for a misspelt choice")
  func otherScripts() {
    for (words, answer) in [(["上升", "下降"], "不升"), (["да", "нет"], "на")] {
      #expect(
        ContractCheck.check(answer, against: .choice(words))
          == .broken("it must be exactly one of: \(words.joined(separator: ", "))"))
    }
  }

  @Test("a misspelt choice is compared scalar by scalar, so that combining marks count")
  func combiningMarks() {
    let contract = OutputContract.choice(["accept", "prüfen"])
    #expect(ContractCheck.check("prüfn", against: contract) == .met("prüfen"))
    for marks in [3, 1_000] {
      let text = "accep" + String(repeating: "\u{301}", count: marks) + "t"
      #expect(
        ContractCheck.check(text, against: contract)
          == .broken("it must be exactly one of: accept, prüfen"), "\(marks) marks")
    }
  }

  // MARK: - Random output

  /// Random combinations of whole, cut and repeated pieces of model output.
  private func garbage(_ rng: inout SeededGenerator) -> String {
    let pieces = [
      good, "{", "}", "[", "]", "\"", "\\", "\\u12", ":", ",", "null", "tru", "-", "1e", "0.",
      "```json\n", "```", "\u{0}", "\u{FFFD}", "é", "日本", "👩‍👩‍👧", "\n", " ", "<think>", "agents",
      "role",
      "{\"agents\":", "[{\"role\":\"code\",", "'", "{\"a\":{\"a\":{\"a\":",
    ]
    var text = ""
    for _ in 0..<Int.random(in: 0...24, using: &rng) {
      text += pieces[Int.random(in: 0..<pieces.count, using: &rng)]
    }
    let bytes = Array(text.utf8)
    let end = Int.random(in: 0...bytes.count, using: &rng)
    return String(decoding: bytes[..<end], as: UTF8.self)
  }

  @Test("of 5,000 random and truncated texts none breaks it, and what it takes fits")
  func anything() {
    var rng = SeededGenerator(seed: 4)
    var met = 0
    for _ in 0..<5_000 {
      let text = garbage(&rng)
      if case .met(let json) = check(text) {
        met += 1
        #expect(check(json) == .met(json), "what fits alone fits again: \(json)")
      }
      _ = ContractCheck.check(text, against: .choice(["code", "role"]))
      _ = ContractCheck.check(text, against: .vector)
      _ = check(good, text)
    }
    #expect(met > 20, "the pieces must sometimes make something whole")
  }

  @Test("long rows of brackets, strings or objects are read once")
  func long() {
    // Each text would take hours if the search restarted at every bracket.
    for piece in ["[", "{", "{\"", "[]", "{} ", "[{", "{\"a\":[", "[\"a\",", "{\"a\":{\"b\":"] {
      let text = String(repeating: piece, count: (1 << 17) / piece.utf8.count)
      #expect(check(text) != .met(text), "\(piece)")
    }
    // The brackets are nested deeper than JSON may be, so the search skips 128 levels at a time.
    let late = String(repeating: "[", count: 1 << 17) + good
    #expect(check(late) == .met(good))
    _ = ContractCheck.check(
      String(repeating: "accept revise ", count: 8_000), against: .choice(["accept", "revise"]))
  }
}

@Suite("Number of questions that a task asks")
struct TaskDialogueTests {
  private func dialogue(
    _ contract: OutputContract, isSink: Bool = false, expansion: String? = nil
  ) -> TaskDialogue {
    TaskDialogue(
      for: TaskOrder(
        plan: "p",
        task: PlanTask(id: "t", role: .critic, contract: contract, expansion: expansion),
        conversation: Conversation(messagesJSON: []), isSink: isSink))
  }

  @Test("text is taken as it is, with one question")
  func text() {
    var talk = dialogue(.text)
    #expect(talk.begin() == .init(hasFormat: false))
    #expect(talk.answered("{") == .finish(output: "{", contractMet: true))
  }

  @Test("a mistake is named to the model once, and its second answer counts")
  func repair() {
    var talk = dialogue(.json(schema: planSchema))
    #expect(talk.begin() == .init(hasFormat: true))
    #expect(talk.passesOn)
    #expect(
      talk.answered("no")
        == .ask(
          .init(hasFormat: true, repair: .init(output: "no", mistake: "there is no JSON in it"))))
    #expect(!talk.passesOn)
    #expect(talk.answered("ok: \(good)") == .finish(output: good, contractMet: true))
  }

  @Test("after the second mistake the first text is kept, and the contract is broken")
  func broken() {
    var talk = dialogue(.json(schema: planSchema))
    _ = talk.answered("first {")
    #expect(talk.answered("second {") == .finish(output: "first {", contractMet: false))
  }

  @Test("a host that refuses the form is asked without it, once")
  func refused() {
    var talk = dialogue(.json(schema: planSchema))
    let failure = Failure(.invalidRequest, "response_format is not known")
    #expect(talk.failed(failure) == .ask(.init(hasFormat: false)))
    #expect(talk.failed(failure) == .fail(failure))
    var other = dialogue(.json(schema: planSchema))
    let lost = Failure(.upstreamFailed, "lost")
    #expect(other.failed(lost) == .fail(lost))
  }

  @Test("a repair that fails leaves the first answer; one that is cancelled is over")
  func failedRepair() {
    var talk = dialogue(.choice(["yes", "no"]))
    _ = talk.answered("perhaps")
    #expect(
      talk.failed(Failure(.deadlineExceeded, "late"))
        == .finish(output: "perhaps", contractMet: false))
    var cancelled = dialogue(.choice(["yes", "no"]))
    _ = cancelled.answered("perhaps")
    let failure = Failure(.cancelled, "left")
    #expect(cancelled.failed(failure) == .fail(failure))
  }

  @Test("the client's answer has the client's form; a sink from which more follows has its own")
  func sink() {
    var talk = dialogue(.json(schema: planSchema), isSink: true)
    #expect(talk.begin() == .init(hasFormat: false))
    #expect(talk.answered("no") == .finish(output: "no", contractMet: true))
    #expect(dialogue(.json(schema: planSchema), isSink: true, expansion: "m").begin().hasFormat)
  }
}
