import ClusterModel
import PlannerCore
import Testing

@Suite("Decomposition")
struct DecomposeTests {
  static func plan(
    _ query: String, pattern: PatternName = .decompose, hosts: [HostFacts] = Requests.hosts(4),
    maxTokens: Int? = nil,
    budget: Int? = nil, documents: [DocumentFacts] = [], isStructured: Bool = false,
    conversationTokens: Int = 0
  ) throws -> Plan {
    try Requests.plan(
      Requests.request(
        pattern, query, hosts: hosts, maxTokens: maxTokens, available: ["small"],
        budget: budget, documents: documents, isStructured: isStructured,
        conversationTokens: conversationTokens))
  }

  static let questions = """
    I keep bees in a small garden. Answer each of these in detail:
    1. How do I prevent swarming in spring?
    2. How do I treat varroa mites in late summer?
    3. How do I harvest honey without a centrifuge?
    """

  /// A query that does not name its parts in a form that a split finds.
  static let unmarked =
    "FAQ articles on returns, warranty, shipping abroad and invoices please, around 250 words each."

  @Test("a part without a limit has room for more than its estimate, and every part has an end")
  func unlimitedParts() throws {
    func limits(_ query: String) throws -> Set<Int?> {
      Set(try Self.plan(query).tasks.dropLast().map(\.maxTokens))
    }
    let long = try limits(
      "Write 600 words on each of these topics: volcanoes, glaciers, deserts, rivers.")
    #expect(long.count == 1 && long.allSatisfy { (1_200...2_500).contains($0 ?? .max) }, "\(long)")
    let longest = try limits(
      "Write 5000 words on each of these topics: volcanoes, glaciers, deserts, rivers.")
    #expect(longest == [4_096])
    #expect(try limits(Self.questions).allSatisfy { (384...1_000).contains($0 ?? .max) })
  }

  @Test("questions are answered separately, with the text before them, in their order")
  func enumeration() throws {
    let plan = try Self.plan(Self.questions, conversationTokens: 60)
    #expect(plan.tasks.count == 4)
    let answer = try #require(plan.tasks.last)
    #expect(answer.merge == .concatenate && answer.id == plan.sink)
    #expect(answer.inputs.map(\.from) == plan.tasks.dropLast().map(\.id))
    for (task, word) in zip(plan.tasks, ["swarming", "varroa", "honey"]) {
      #expect(task.instruction.contains("I keep bees in a small garden."))
      #expect(task.instruction.contains(word))
      #expect(
        !task.readsConversation, "the query is all there is, so nobody reads the others' parts")
    }
    #expect(!plan.tasks[0].instruction.contains("varroa"))
  }

  @Test("numbers within a line are a list too, where a list can go on")
  func inlineNumbers() throws {
    let plan = try Self.plan(
      "Answer each of these questions in a detailed paragraph: 1. What is photosynthesis? 2. How "
        + "does a steam engine work? 3. Why did Rome fall? 4. How are tides made?")
    let parts = plan.tasks.dropLast()
    #expect(parts.count == 4, "\(plan.tasks.map(\.instruction))")
    for (task, word) in zip(parts, ["photosynthesis", "steam", "Rome", "tides"]) {
      #expect(task.instruction.contains(word) && task.instruction.contains("detailed paragraph"))
    }
    #expect(!parts[0].instruction.contains("steam"))
    // Neither a version number nor a year at the end of a sentence is a list marker.
    let sentences = try Self.plan(
      "Write a long and detailed essay on the differences between version 1. and version 2. of it.")
    #expect(sentences.tasks.count <= 2)
  }

  @Test("parts go to idle hosts before they share one")
  func idleHosts() throws {
    let plan = try Self.plan(
      Self.questions, hosts: Requests.hosts(2, slots: 4), conversationTokens: 60)
    #expect(plan.reason.contains("over 2 hosts"), "\(plan.reason)")
  }

  @Test("with an earlier conversation, parts read it, and each is told its own part")
  func conversation() throws {
    let plan = try Self.plan(Self.questions, conversationTokens: 2_000)
    #expect(plan.tasks.dropLast().allSatisfy { $0.readsConversation })
    #expect(plan.tasks[0].instruction.hasPrefix("Of what I just said, do only the following"))
  }

  @Test("only a part that refers to the one before waits for it")
  func needs() throws {
    let plan = try Self.plan(
      """
      Write a detailed Python module that parses bank statements. Then write extensive tests for it. \
      Also draft a detailed letter to our supplier about the late delivery of steel.
      """)
    let parts = plan.tasks.dropLast()
    #expect(parts.map { $0.inputs.map(\.from) } == [[], ["part-1"], []])
  }

  @Test("a list of conditions, of data or of a story's contents is one piece of work")
  func oneWork() throws {
    for query in [
      "Write a long and detailed story. It has:\n- a dragon\n- a castle\n- a cook",
      "Write a function in Swift. Requirements:\n- it must be pure\n- no recursion\n- use generics",
      "Sort these by size, in detail:\n- elephant\n- mouse\n- whale\n- horse",
      "Prove step by step each of these:\n1. 1 + 1 = 2\n2. 2 + 2 = 4\n3. 4 + 4 = 8",
    ] {
      #expect(try Self.plan(query).tasks.count == 1, "\(query)")
    }
  }

  @Test("named sections are written side by side under the client's own words")
  func sections() throws {
    let plan = try Self.plan(
      "Write a detailed report on heat pumps covering costs, noise, efficiency, and subsidies.")
    #expect(plan.tasks.count == 5)
    #expect(plan.tasks[0].instruction.contains("\"Costs\""))
    #expect(plan.tasks.last?.inputs.map(\.name) == ["Costs", "Noise", "Efficiency", "Subsidies"])
  }

  @Test("a text goes into several languages at once")
  func languages() throws {
    let letter = String(
      repeating: "The delivery of your order is late because of snow. ", count: 20)
    let plan = try Self.plan("Translate this into French, Greek and Danish:\n\n\(letter)")
    #expect(plan.tasks.last?.inputs.map(\.name) == ["French", "Greek", "Danish"])
    #expect(plan.tasks.last?.merge == .concatenate)
  }

  @Test("a question that is cheap to answer directly is one task, with the reason")
  func direct() throws {
    for (plan, reason) in [
      (
        try Self.plan("Why is the sky blue?"),
        "direct: the question has 5 words; a split is worthwhile from 8"
      ),
      (
        try Self.plan("Tell me in your own words why the sky is blue at noon."),
        "direct: it is one sentence without a list"
      ),
      (
        try Self.plan(Self.questions, maxTokens: 60),
        "direct: the answer has at most 60 tokens; a split is worthwhile from 96"
      ),
      (
        try Self.plan(Self.questions, budget: 900),
        "direct: the budget is 900 tokens; a split needs 1024"
      ),
      (
        try Self.plan(Self.questions, isStructured: true),
        "direct: the answer is JSON or may call tools, so it cannot be joined from parts"
      ),
    ] {
      #expect(plan.tasks.count == 1)
      #expect(plan.reason == reason)
      #expect(plan.tasks[0].instruction.isEmpty)
    }
  }

  @Test("unknown hosts, no free slots, or one fast host and slow ones: no split")
  func noGain() throws {
    func tasks(_ hosts: [HostFacts]) throws -> Int {
      try Self.plan(Self.questions, pattern: .auto, hosts: hosts).tasks.count
    }
    #expect(try tasks([]) == 1)
    #expect(try tasks(Requests.hosts(4, slots: 0)) == 1)
    var uneven = Requests.hosts(4)
    for index in 1..<4 { uneven[index].rateMilli = 1_000 }
    #expect(try tasks(uneven) == 1)
  }

  @Test("hosts of unknown speed count as usual ones")
  func unknownSpeed() throws {
    var unknown = Requests.hosts(4)
    for index in unknown.indices {
      unknown[index].rateMilli = 0
      unknown[index].firstTokenMilliseconds = 0
    }
    #expect(try Self.plan(Self.questions, hosts: unknown).tasks.count == 4)
  }

  @Test("the client's limit is shared by the parts")
  func limit() throws {
    let plan = try Self.plan(Self.questions, maxTokens: 900)
    #expect(plan.tasks.count == 4)
    #expect(plan.tasks.reduce(0) { $0 + ($1.maxTokens ?? 0) } <= 900)
  }

  @Test("where every part would read a long conversation again, nothing is split over one host")
  func longHistory() throws {
    var hosts = Requests.hosts(1, slots: 3)
    hosts[0].slowdownPercent = 30
    #expect(try Self.plan(Self.questions, hosts: hosts, conversationTokens: 60).tasks.count == 4)
    let plan = try Self.plan(
      Self.questions, pattern: .auto, hosts: hosts, conversationTokens: 8_000)
    #expect(plan.tasks.count == 1, "\(plan.reason)")
  }

  @Test("a text that all parts refer to is read once in a direct answer")
  func sharedText() throws {
    let article = String(repeating: "The harbour of the town was widened twice. ", count: 280)
    let query =
      "\(article)\nAnswer each of these in detail:\n1. How was it paid?\n2. How was it built?\n"
      + "3. How do ships reach it?\n4. How is it kept deep?\n5. How do people live there?"
    var hosts = Requests.hosts(4)
    for index in hosts.indices { hosts[index].rateMilli = 20_000 }
    let tokens = query.utf8.count / 4
    let estimate = try #require(
      try Self.plan(query, hosts: hosts, conversationTokens: tokens).estimate)
    let reading = estimate.direct.milliseconds - estimate.direct.writingMilliseconds
    #expect((tokens * 5...tokens * 5 + 1_000).contains(reading), "5 ms a token, and a moment")
    let asked = try #require(
      try Self.plan(article + Self.unmarked, hosts: hosts, conversationTokens: tokens).estimate)
    #expect(asked.direct.milliseconds - asked.direct.writingMilliseconds < tokens * 5 + 1_000)
  }

  @Test("words of the text that is translated are no languages to translate it into")
  func translatedText() throws {
    let letter = """
      Dear guests, from Monday you can go to the new Greek restaurant in the English garden. Please \
      polish your shoes and be swift, for the Spanish band begins at eight and plays until midnight.
      """
    for (request, names) in [
      ("Translate this letter into German and French:\n\n", ["German", "French"]),
      ("Translate this letter from English into German and French.\n", ["German", "French"]),
      (
        "Translate \"I go to Greek and English lessons\" into German and French, and this too:\n",
        ["German", "French"]
      ),
      (
        "Translate the letter below into the following languages: German, Brazilian Portuguese.\n\n",
        ["German", "Portuguese"]
      ),
    ] {
      let plan = try Self.plan(request + letter + letter + letter)
      #expect(plan.tasks.last?.inputs.map(\.name) == names, "\(request)")
    }
  }

  @Test("a length that is given for each part is not divided among them")
  func eachLength() throws {
    let plan = try Self.plan("Write 500 words on each of these topics: rain, wind and snow.")
    #expect(plan.tasks.count == 4)
    #expect((1_500...1_600).contains(try #require(plan.estimate).direct.tokens))
  }

  @Test("where hosts offer different models, a part is bound to one only if its host has no other")
  func modelsOfHosts() throws {
    var hosts = Requests.hosts(3)
    hosts[0].models = ["mistral-7b-instruct"]
    hosts[1].models = ["codellama-7b-instruct", "mistral-7b-instruct"]
    hosts[2].models = ["codellama-7b-instruct", "mistral-7b-instruct"]
    func models(_ named: [ModelID]) throws -> [ModelID?] {
      try Requests.plan(
        Requests.request(
          .decompose, Self.questions, hosts: hosts, models: named,
          available: ["codellama-7b-instruct", "mistral-7b-instruct"])
      ).tasks.dropLast().map(\.model)
    }
    #expect(try models([]) == ["mistral-7b-instruct", nil, nil])
    #expect(try models(["codellama-7b-instruct"]).allSatisfy { $0 == "codellama-7b-instruct" })
  }
}
