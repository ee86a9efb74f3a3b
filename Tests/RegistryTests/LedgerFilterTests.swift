import Access
import ClusterModel
import HTTPTypes
import Money
import RegistryCore
import Store
import Testing

@testable import RegistryService

@Suite("Filters of the ledger")
struct LedgerFilterTests {
  static let key = "abcdefghij23"
  static let trace = TraceID(high: 1, low: 0xAB)

  /// A settlement of one micro-credit as a gateway's report causes it.
  private func settlement(
    _ number: Int, key: String, trace: TraceID
  ) throws -> LedgerTransaction {
    try LedgerTransaction(
      id: "settle/g/\(number)", kind: .settle, time: Int64(number),
      entries: [
        LedgerEntry(account: .margin, amount: MicroCredits(1)),
        LedgerEntry(account: .issued, amount: MicroCredits(-1)),
      ],
      note: #"{"gateway":"g","incarnation":"1","lease":"1","key":"key/\#(key)","account":"acme","#
        + #""number":"\#(number)","request":"1","held":"0.000001","billed":"0.000001","#
        + #""charged":"0.000001","to_margin":"0.000001","trace":"\#(trace)","model":"m","#
        + #""admitted_at_ms":1,"prompt_tokens":1,"cached_tokens":0,"completion_tokens":1}"#)
  }

  /// A credit, and six settlements of two keys, of which one has the trace.
  private func fill(_ registry: TestRegistry) async throws {
    _ = try await registry.send(.post, "/organisations", #"{"id": "acme"}"#)
    let made = try await registry.send(
      .post, "/transfers",
      #"{"id": "1", "kind": "credit", "organisation": "acme", "amount": "5"}"#)
    #expect(made.status == 201, "\(made)")
    let settlements = try (1...6).map { number in
      try settlement(
        number, key: number.isMultiple(of: 2) ? Self.key : "zzzzzzzzzz22",
        trace: number == 4 ? Self.trace : TraceID(high: 2, low: UInt64(number)))
    }
    for outcome in try await registry.accounts.append(settlements) {
      guard case .appended = outcome else {
        Issue.record("not appended: \(outcome)")
        return
      }
    }
  }

  @Test(
    "lists and exports have only transactions of the kind, the key and the trace",
    arguments: [
      ("kind=credit", ["admin/1"]), ("kind=payout", []),
      ("kind=settle&order=asc&to_ms=3", ["settle/g/1", "settle/g/2"]),
      ("key=\(key)&order=asc", ["settle/g/2", "settle/g/4", "settle/g/6"]),
      ("key=tutti-\(key)&kind=settle&order=asc&from_ms=5", ["settle/g/6"]),
      ("trace=\(trace)", ["settle/g/4"]), ("trace=\(trace)&key=zzzzzzzzzz22", []),
      ("key=\(key)&account=margin&order=asc&limit=2", ["settle/g/2", "settle/g/4"]),
    ])
  func selected(query: String, ids: [String]) async throws {
    try await TestRegistry.run { registry in
      try await fill(registry)
      let list = try await registry.send(.get, "/ledger?" + query)
      #expect(list.status == 200, "\(list)")
      #expect(found(in: list.text) == ids, "\(list)")
      guard !query.contains("limit") else { return }
      let export = try await registry.send(.get, "/ledger/export?" + query)
      #expect(found(in: export.text) == ids, "\(export)")
    }
  }

  /// Ids of the transactions in a list or in JSON lines, in their order.
  private func found(in text: String) -> [String] {
    text.replacing(#"\/"#, with: "/").matches(of: /"id":"([^"]+)"/).map { String($0.1) }
  }

  @Test(
    "wrong values of filters are refused by name",
    arguments: [("kind", "refund"), ("key", "short"), ("trace", "12"), ("trace", "")])
  func wrong(name: String, value: String) async throws {
    try await TestRegistry.run { registry in
      for path in ["/ledger", "/ledger/export"] {
        let answer = try await registry.send(.get, "\(path)?\(name)=\(value)")
        #expect(answer.status == 400 && answer.text.contains(#""param":"\#(name)""#), "\(answer)")
      }
    }
  }

  @Test("a page reads a limited number of transactions and names the place to continue")
  func bounded() async throws {
    try await TestRegistry.run { registry in
      try await fill(registry)
      let filter = LedgerFilter(key: KeyID(Self.key))
      var query = LedgerQuery(order: .oldestFirst, limit: 2)
      var ids: [String] = []
      var pages = 0
      while true {
        // The settlements with odd numbers leave some pages with one row or none.
        let page = try await registry.accounts.transactions(query, matching: filter, scan: 1)
        #expect(page.rows.count <= 1)
        ids += page.rows.map(\.transaction.id)
        pages += 1
        guard let next = page.next, pages < 20 else { break }
        query.after = next
      }
      #expect(ids == ["settle/g/2", "settle/g/4", "settle/g/6"])
      #expect(pages >= 7)
    }
  }
}
