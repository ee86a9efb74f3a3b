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

  @Test("every document is worked on by itself; a comparison over all of them waits for them")
  func documents() throws {
    let documents = (1...5).map { DocumentFacts(name: "report-\($0).md", bytes: 8_000) }
    let each = try Self.plan("Summarise each document in detail.", documents: documents)
    #expect(each.tasks.dropLast().map(\.documents) == documents.map { [$0.name] })
    #expect(each.tasks.last?.merge == .concatenate)
    let compared = try Self.plan(
      "Summarise each document in detail. Then compare all of them in a table.",
      documents: documents)
    let comparison = try #require(compared.tasks.dropLast().last)
    #expect(comparison.inputs.count == 5)
    #expect(compared.tasks.last?.inputs.count == 6)
  }

  @Test("one text over all documents is written by a model from notes on each")
  func synthesis() throws {
    let documents = (1...8).map { DocumentFacts(name: "d\($0)", bytes: 200_000) }
    let plan = try Self.plan(
      "What do the papers say about the causes of the delay?", documents: documents)
    #expect(plan.tasks.last?.merge == .synthesise)
    #expect(plan.tasks.count == 9)
  }

  private static func long(
    _ pattern: PatternName, _ query: String, hosts: Int = 4, context: Int = 8_192,
    budget: Int? = nil,
    bytes: Int = 120_000
  ) throws -> Plan {
    var request = Requests.request(
      pattern, query, hosts: Requests.hosts(hosts), available: ["small"], budget: budget,
      documents: [DocumentFacts(name: "long.md", bytes: bytes)])
    for index in request.hosts.indices { request.hosts[index].contextTokens = ["small": context] }
    return try Requests.plan(request)
  }

  @Test(
    "a summary of a document that fits no prompt whole is written from notes on its parts",
    arguments: [PatternName.decompose, .auto])
  func longDocument(pattern: PatternName) throws {
    let plan = try Self.long(pattern, "Summarise this report.")
    let parts = plan.tasks.dropLast()
    #expect((5...16).contains(parts.count), "\(plan.reason)")
    #expect(parts.allSatisfy { $0.documents == ["long.md"] })
    #expect(
      parts.map(\.documentPart)
        == (1...parts.count).map { DocumentPart(number: $0, count: parts.count) })
    let answer = try #require(plan.tasks.last)
    #expect(answer.merge == .summarise && answer.inputs.count == parts.count)
    #expect(answer.documents.isEmpty)
    #expect(plan.reason.contains("parts of the document"))
  }

  @Test(
    "other questions about a long document are answered from the passages that a search finds",
    arguments: [
      "What is the budget of the Kestrel archive?", "Summarise chapter 3 of this report.",
      "Find the date of the launch.",
    ])
  func passages(query: String) throws {
    let plan = try Self.long(.decompose, query)
    #expect(plan.tasks.map(\.documents) == [[PlanTask.everyDocument]], "\(plan.reason)")
    #expect(plan.tasks.allSatisfy { $0.documentPart == nil })
  }

  @Test("a document that fits a prompt, or needs too many parts, is read by one task")
  func otherLengths() throws {
    for bytes in [0, 20_000, 23_000, 9_000_000, .max] {
      let plan = try Self.long(.decompose, "Summarise this report.", bytes: bytes)
      #expect(plan.tasks.count == 1, "\(bytes): \(plan.reason)")
    }
    let tiny = try Self.long(.decompose, "Summarise this report.", context: 512, bytes: 64)
    #expect(tiny.tasks.count == 1, "\(tiny.reason)")
    let two = try Self.long(.decompose, "Summarise this report.", bytes: 26_000)
    #expect(two.tasks.map(\.documentPart?.count) == [2, 2, nil], "\(two.reason)")
  }

  @Test("a document is read by models whose context holds it, or holds its parts")
  func mixedContexts() throws {
    var request = Requests.request(
      .decompose, "Summarise this report.",
      hosts: Requests.hosts(4, models: ["large", "small"]), available: ["large", "small"],
      documents: [DocumentFacts(name: "long.md", bytes: 200_000)])
    for index in request.hosts.indices {
      request.hosts[index].contextTokens = ["large": 32_768, "small": 4_096]
    }
    let split = try Requests.plan(request)
    #expect(split.tasks.count == 5 && split.tasks.allSatisfy { $0.model == "large" }, "\(split)")
    request.documents[0].bytes = 40_000
    #expect(try Requests.plan(request).tasks.map(\.model) == ["large"])
    request.documents[0].bytes = 4_000
    #expect(try Requests.plan(request).tasks.map(\.model) == [nil], "the agent may choose")
  }

  @Test("the notes on a document's parts fit one prompt, and all tasks together the budget")
  func notes() throws {
    let plan = try Self.long(.decompose, "List all ships in this log.", context: 4_096)
    let limits = plan.tasks.dropLast().compactMap(\.maxTokens)
    #expect(limits.count == plan.tasks.count - 1 && limits.count > 12)
    // The room for notes is at most four fifths of the context without the answer.
    let room = (4_096 - 384) * 4 / 5
    let notes = limits.reduce(0, +)
    #expect(notes <= room)
    let budget = 35_000
    let paid = try Self.long(.decompose, "List all ships in this log.", budget: budget)
    try #require(paid.tasks.count > 2, "\(paid.reason)")
    let most = paid.tasks.dropLast().compactMap(\.maxTokens).reduce(0, +)
    // The document is read once, and the notes are written and read.
    let answer = try #require(paid.tasks.last?.maxTokens)
    let needed = 30_000 + 2 * most + answer
    #expect(needed <= budget)
  }

  @Test("a long document is not split if one host must read all parts or the budget is too small")
  func longDocumentGates() throws {
    let one = try Self.long(.auto, "List all ships in this log.", hosts: 1)
    #expect(one.tasks.count == 1 && one.reason.contains("would take"), "\(one.reason)")
    let poor = try Self.long(.decompose, "List all ships in this log.", budget: 20_000)
    #expect(poor.tasks.count == 1 && poor.reason.contains("budget"), "\(poor.reason)")
  }

  @Test("a budget must pay for as much of a document as fits the contexts of the hosts")
  func documentsInBudget() throws {
    var request = Requests.request(
      .decompose, budget: 10_000,
      documents: [DocumentFacts(name: "long.md", bytes: 200_000)])
    let unknown = try #require(try Requests.plan(request).tasks.first?.maxTokens)
    #expect(unknown > 6_000)
    for index in request.hosts.indices { request.hosts[index].contextTokens = ["small": 8_192] }
    let known = try #require(try Requests.plan(request).tasks.first?.maxTokens)
    #expect(known < unknown)
    for index in request.hosts.indices { request.hosts[index].contextTokens = ["small": 32_768] }
    #expect(throws: Failure.self) { try Requests.plan(request) }
  }

  @Test("a hundred documents are read in groups, so that the plan stays within its bounds")
  func manyDocuments() throws {
    let documents = (1...100).map { DocumentFacts(name: "d\($0)", bytes: 5_000) }
    let plan = try Self.plan("Summarise each document in detail.", documents: documents)
    #expect(plan.tasks.count <= 13)
    #expect(plan.tasks.flatMap(\.documents).count == 100)
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

  @Test("a client's limit is for the answer, not for the notes it is written from")
  func limitOfNotes() throws {
    let documents = (1...100).map { DocumentFacts(name: "d\($0)", bytes: 5_000) }
    for pattern in [PatternName.decompose, .auto] {
      var request = Requests.request(
        pattern, "Write a report of 2000 words on what these documents say about the delay.",
        maxTokens: 1_000, available: ["small"], documents: documents)
      let limited = try Requests.plan(request)
      let notes = limited.tasks.dropLast()
      #expect(notes.count > 1 && notes.allSatisfy { $0.maxTokens == 384 }, "\(limited.reason)")
      request.maxTokens = nil
      let open = try Requests.plan(request)
      #expect(open.tasks.dropLast().map(\.maxTokens) == notes.map(\.maxTokens))
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

  // MARK: - Parts proposed by a model

  static let unmarked =
    "FAQ articles on returns, warranty, shipping abroad and invoices please, around 250 words each."

  @Test("where the query does not name its parts, a model is asked for them under a schema")
  func proposal() throws {
    let plan = try Self.plan(Self.unmarked)
    #expect(plan.tasks.count == 1)
    #expect(plan.tasks[0].expansion == "split-parts")
    guard case .json = plan.tasks[0].contract else {
      Issue.record("no schema")
      return
    }
  }

  @Test("proposed parts take the place of the proposal, in order or combined")
  func proposed() throws {
    let parts = ["returns", "warranty", "shipping"].map {
      "{\"name\":\"\($0)\",\"task\":\"Write a detailed 250 words article on \($0).\",\"needs\":[]}"
    }.joined(separator: ",")
    for (merge, rule) in [("in_order", MergeRule.concatenate), ("combine", .synthesise)] {
      var run = try Rehearsal(
        Requests.request(.decompose, Self.unmarked, available: ["small"]))
      try run.end("parts", with: "{\"parts\":[\(parts)],\"merge\":\"\(merge)\"}")
      let answer = try run.task(run.plan.sink)
      if rule == .concatenate {
        #expect(answer.merge == rule)
        #expect(answer.inputs.count == 3)
      } else {
        #expect(answer.merge == rule || answer.inputs.isEmpty, "combining may not pay")
      }
    }
  }

  private static func proposal(of count: Int) -> String {
    let parts = (1...count).map { "{\"task\":\"Returns \($0)\"}" }.joined(separator: ",")
    return "{\"parts\":[\(parts)],\"merge\":\"in_order\"}"
  }

  @Test("the task of a proposed part reads the query, because the proposal says little about it")
  func proposedInView() throws {
    var run = try Rehearsal(
      Requests.request(
        .decompose, Self.unmarked, available: ["small"],
        conversationTokens: Self.unmarked.utf8.count / 4))
    try run.end("parts", with: Self.proposal(of: 3))
    #expect(try run.task("answer").inputs.count == 3)
    let part = try run.task("part-1")
    #expect(part.readsConversation && part.instruction.hasPrefix("Of what I just said"))
  }

  @Test(
    "parts are proposed and done within the budget, or it is answered directly within it",
    arguments: [24, 400])
  func proposedWithinBudget(conversationTokens: Int) throws {
    var counts: Set<Int> = []
    for budget in stride(from: 1_000, to: 12_000, by: 100) {
      var run = try Rehearsal(
        Requests.request(
          .decompose, Self.unmarked, available: ["small"], budget: budget,
          conversationTokens: conversationTokens))
      guard run.plan.tasks[0].expansion != nil else { continue }
      let proposal = try run.task("parts")
      try run.end("parts", with: Self.proposal(of: 8))
      let tasks = [proposal] + run.plan.tasks.filter { $0.id != "parts" && !$0.merge.isMechanical }
      // 48 tokens of each prompt are the task's role and its model's chat template.
      let spent = tasks.reduce(0) { sum, task in
        sum + (task.readsConversation ? conversationTokens : 0) + 48
          + task.instruction.utf8.count / 4 + (task.maxTokens ?? 0)
      }
      #expect(spent <= budget, "\(run.plan.tasks.map(\.id))")
      counts.insert(try run.task("answer").inputs.count)
    }
    #expect(counts == [0, 8])
  }

  @Test(
    "a proposal that cannot be used leads to a direct answer",
    arguments: [
      "", "no", "{\"parts\":[]}", "{\"parts\":[{\"task\":\"all of it\"}]}", "{\"parts\":7}",
      "{\"parts\":[{\"task\":\"same\"},{\"task\":\"Same\"}]}", "{\"parts\":[{\"name\":\"x\"}]}",
    ])
  func rejected(output: String) throws {
    var run = try Rehearsal(
      Requests.request(.decompose, Self.unmarked, available: ["small"]))
    try run.end("parts", with: output)
    let answer = try run.task(run.plan.sink)
    #expect(answer.inputs.isEmpty && answer.instruction.isEmpty && answer.expansion == nil)
  }
}
