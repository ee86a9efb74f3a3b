import ClusterModel
import PlannerCore
import Testing

@Suite("Decomposition of work on documents")
struct DocumentSplitTests {
  @Test("every document is worked on by itself; a comparison over all of them waits for them")
  func documents() throws {
    let documents = (1...5).map { DocumentFacts(name: "report-\($0).md", bytes: 8_000) }
    let each = try DecomposeTests.plan("Summarise each document in detail.", documents: documents)
    #expect(each.tasks.dropLast().map(\.documents) == documents.map { [$0.name] })
    #expect(each.tasks.last?.merge == .concatenate)
    let compared = try DecomposeTests.plan(
      "Summarise each document in detail. Then compare all of them in a table.",
      documents: documents)
    let comparison = try #require(compared.tasks.dropLast().last)
    #expect(comparison.inputs.count == 5)
    #expect(compared.tasks.last?.inputs.count == 6)
  }

  @Test("one text over all documents is written by a model from notes on each")
  func synthesis() throws {
    let documents = (1...8).map { DocumentFacts(name: "d\($0)", bytes: 200_000) }
    let plan = try DecomposeTests.plan(
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
    let plan = try DecomposeTests.plan("Summarise each document in detail.", documents: documents)
    #expect(plan.tasks.count <= 13)
    #expect(plan.tasks.flatMap(\.documents).count == 100)
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
}
