import ClusterModel
import CommandLineCore
import Testing

@Suite("Lines of a chat")
struct ChatLineTests {
  private func line(_ text: String) -> ChatLine? {
    var input = ChatInput()
    return input.take(text)
  }

  @Test(
    "a line is a question or a command",
    arguments: [
      ("Why is the sky blue?", .question("Why is the sky blue?")), ("", .empty), ("  ", .empty),
      ("/model", .model(nil)), ("/model  tutti/fast ", .model("tutti/fast")), ("/models", .models),
      ("/trace", .trace), ("/save my talk.json", .save("my talk.json")), ("/system", .system(nil)),
      ("/system Be brief.", .system("Be brief.")), ("/system -", .system("")), ("/undo", .undo),
      ("/clear", .clear), ("/help", .help), ("/quit", .quit), (" /quit", .quit),
      ("//etc/hosts", .question("/etc/hosts")), ("a /model", .question("a /model")),
    ] as [(String, ChatLine)])
  func commands(text: String, expected: ChatLine) {
    #expect(line(text) == expected)
  }

  @Test("a mistyped command gets a guess and is never sent to a model")
  func mistakes() {
    #expect(line("/modle") == .mistake("/modle is no command; did you mean /model?"))
    #expect(line("/zzzzzz") == .mistake("/zzzzzz is no command; /help lists the commands"))
    #expect(line("/save") == .mistake("/save needs the name of a file"))
  }

  @Test("the lines between two marks are one question")
  func blocks() {
    var input = ChatInput()
    #expect(input.take("\"\"\"") == nil && input.isInBlock)
    #expect(input.take("a") == nil)
    #expect(input.take("") == nil)
    #expect(input.take("/quit") == nil)
    #expect(input.take("\"\"\"") == .question("a\n\n/quit"))
    #expect(!input.isInBlock)
    #expect(input.take("\"\"\"one") == nil)
    #expect(input.take("two\"\"\"") == .question("one\ntwo"))
    #expect(input.take("\"\"\"one\"\"\"") == .question("one"))
    #expect(input.take("\"\"\"\"\"\"") == .empty)
  }

  @Test("a question of several lines ends with the input, and at the limit")
  func ends() {
    var input = ChatInput()
    #expect(input.end() == nil)
    #expect(input.take("\"\"\"a") == nil)
    #expect(input.end() == .question("a"))
    #expect(input.take("\"\"\"") == nil)
    let half = String(repeating: "x", count: ChatInput.maximumBytes / 2)
    #expect(input.take(half) == nil)
    guard case .mistake(_)? = input.take(half) else {
      Issue.record("a question above the limit was taken")
      return
    }
    #expect(!input.isInBlock)
  }

  @Test("Ctrl-C ends the chat only twice within 2 s")
  func interrupts() {
    var presses = ChatInterrupts()
    func at(_ milliseconds: Int) -> Instant { Instant(sinceStart: .milliseconds(milliseconds)) }
    #expect(presses.press(now: at(0)) == false)
    #expect(presses.press(now: at(2_001)) == false)
    #expect(presses.press(now: at(4_001)) == true)
  }
}

@Suite("The conversation of a chat")
struct ChatHistoryTests {
  private var history: ChatHistory {
    var history = ChatHistory(system: "Be brief.")
    history.append(.init(question: "2 + 2?", answer: "4"))
    return history
  }

  @Test("each question has the instructions and the turns before it")
  func messages() throws {
    #expect(
      try history.messages(asking: "And 3?").map { "\($0.role): \($0.content)" }
        == ["system: Be brief.", "user: 2 + 2?", "assistant: 4", "user: And 3?"])
    #expect(try ChatHistory().messages(asking: "Why?").map(\.role) == ["user"])
  }

  @Test("a turn without an answer is not kept")
  func unanswered() {
    var history = self.history
    #expect(history.append(.init(question: "Why?", answer: " \n", isCut: true)) == false)
    #expect(history.append(.init(question: "Why?", answer: "Bec", isCut: true)) == true)
    #expect(history.turns.count == 2)
    #expect(history.undo()?.question == "Why?")
    history.clear()
    #expect(history.turns.isEmpty && history.system == "Be brief.")
    #expect(history.undo() == nil)
  }

  @Test("a conversation above the limit names the commands that shorten it")
  func limit() {
    var history = self.history
    history.append(
      .init(question: "x", answer: String(repeating: "x", count: ChatHistory.maximumBytes)))
    let failure = #expect(throws: ProcessFailure.self) {
      _ = try history.messages(asking: "Why?")
    }
    #expect(failure?.message.contains("/clear") == true)
  }

  @Test("a saved conversation is continued as it was")
  func roundTrip() throws {
    var history = self.history
    history.append(.init(question: "\"q\"\n\u{1F600}", answer: "a\\n\u{7}"))
    let bytes = ChatFile.contents(of: history, name: "talk.JSON")
    #expect(try ChatFile.history(json: bytes, name: "talk.json") == history)
  }

  @Test("Markdown has the turns and marks an answer that was cut")
  func markdown() {
    var history = self.history
    history.append(.init(question: "Why?", answer: "Bec", isCut: true))
    #expect(
      String(decoding: ChatFile.contents(of: history, name: "talk.md"), as: UTF8.self) == """
        ## Instructions

        Be brief.

        ## Question

        2 + 2?

        ## Answer

        4

        ## Question

        Why?

        ## Answer (cut)

        Bec

        """)
  }

  @Test(
    "a file that is no conversation is refused with the place of the mistake",
    arguments: [
      ("{", "is not JSON"), ("{}", "no list of messages"), (#"{"messages":1}"#, "no list"),
      (#"[{"role":"user"}]"#, "message 1"), (#"[{"role":"user","content":"a"}]"#, "last question"),
      (#"[{"role":"assistant","content":"a"}]"#, "message 1 is an answer"),
      (#"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#, "message 2 has the role"),
      (#"[{"role":"tool","content":"a"}]"#, "the role tool"),
    ])
  func refused(json: String, part: String) {
    let failure = #expect(throws: ProcessFailure.self) {
      _ = try ChatFile.history(json: Array(json.utf8), name: "f")
    }
    #expect(failure?.message.contains(part) == true, "\(failure?.message ?? "")")
  }
}
