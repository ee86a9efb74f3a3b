import ClusterModel
import Limits
import Money
import Testing

@Suite("Price book")
struct PriceBookTests {
  private static func price(_ input: Int64) throws -> TokenPrice {
    try TokenPrice(input: MicroCredits(input), cachedInput: .zero, output: .zero)
  }

  private static func row(
    _ model: ModelID = "llama", _ host: HostID? = nil, from time: Int64, _ input: Int64
  ) throws -> PriceRow {
    PriceRow(model: model, host: host, effectiveFrom: time, price: try price(input))
  }

  @Test("a price is valid from its time until the next one")
  func lookup() throws {
    var book = PriceBook()
    try book.add(Self.row(from: 200, 2), now: 100)
    try book.add(Self.row(from: 100, 1), now: 100)
    #expect(book.clientPrice(of: "llama", at: 99, unknown: .refuse) == nil)
    #expect(try book.clientPrice(of: "llama", at: 100, unknown: .refuse) == Self.price(1))
    #expect(try book.clientPrice(of: "llama", at: 199, unknown: .refuse) == Self.price(1))
    #expect(try book.clientPrice(of: "llama", at: .max, unknown: .refuse) == Self.price(2))
    #expect(book.allRows.map(\.effectiveFrom) == [100, 200])
  }

  @Test("an unknown price is refused or free, as set")
  func unknown() throws {
    var book = PriceBook()
    try book.add(Self.row("llama", "gpu-1", from: 0, 9), now: 0)
    #expect(book.clientPrice(of: "llama", at: 5, unknown: .refuse) == nil)
    #expect(book.clientPrice(of: "llama", at: 5, unknown: .free) == .free)
  }

  @Test("a host earns its row, otherwise its default, otherwise nothing")
  func hosts() throws {
    var book = PriceBook()
    try book.add(Self.row("llama", "gpu-1", from: 0, 9), now: 0)
    try book.add(Self.row("llama", nil, from: 0, 50), now: 0)
    let own = try Self.price(4)
    #expect(try book.hostPrice(of: "llama", on: "gpu-1", at: 5, hostDefault: own) == Self.price(9))
    #expect(book.hostPrice(of: "llama", on: "gpu-2", at: 5, hostDefault: own) == own)
    #expect(book.hostPrice(of: "llama", on: "gpu-2", at: 5, hostDefault: nil) == .free)
  }

  @Test("a row in the past is refused, also after the clock was set back")
  func past() throws {
    var book = PriceBook()
    try book.add(Self.row(from: 1_000, 1), now: 1_000)
    #expect(throws: PriceRowRefusal.inThePast(now: 2_000)) {
      try book.add(Self.row(from: 1_999, 2), now: 2_000)
    }
    try book.add(Self.row(from: 3_000, 3), now: 2_000)
    #expect(throws: PriceRowRefusal.inThePast(now: 2_000)) {
      try book.add(Self.row(from: 1_500, 2), now: 500)
    }
  }

  @Test("the same row again changes nothing; another price at its time is a conflict")
  func repeats() throws {
    var book = PriceBook()
    let row = try Self.row(from: 100, 1)
    try book.add(row, now: 100)
    try book.add(row, now: 5_000)
    #expect(book.count == 1)
    #expect(throws: PriceRowRefusal.conflict(row)) { try book.add(Self.row(from: 100, 2), now: 0) }
  }

  @Test("only a row that starts after the notice can be withdrawn, and earlier prices stay")
  func withdrawal() throws {
    let notice = PriceBook.withdrawalNotice
    var book = PriceBook()
    let (first, second) = (try Self.row(from: 100, 1), try Self.row(from: 100 + notice, 2))
    try book.add(first, now: 100)
    try book.add(second, now: 100)
    #expect(book.row(at: second.place) == second)
    #expect(throws: PriceRowRefusal.startsTooSoon(earliest: 100 + notice)) {
      try book.checkWithdrawal(of: first, now: 100)
    }
    // A clock that was set back makes no earlier row removable.
    #expect(throws: PriceRowRefusal.startsTooSoon(earliest: 100 + notice)) {
      try book.checkWithdrawal(of: first, now: -notice)
    }
    #expect(throws: PriceRowRefusal.startsTooSoon(earliest: 101 + notice)) {
      try book.checkWithdrawal(of: second, now: 101)
    }
    #expect(throws: PriceRowRefusal.absent) {
      try book.checkWithdrawal(of: Self.row(from: 100 + notice, 3), now: 100)
    }
    try book.checkWithdrawal(of: second, now: 100)
    book.remove(second, now: 100)
    #expect(book.allRows == [first] && book.count == 1 && book.row(at: second.place) == nil)
    #expect(try book.clientPrice(of: "llama", at: .max, unknown: .refuse) == Self.price(1))
    // Another price can take its place.
    try book.add(Self.row(from: 100 + notice, 3), now: 100)
    #expect(try book.clientPrice(of: "llama", at: .max, unknown: .refuse) == Self.price(3))
  }

  @Test("a model whose only price is withdrawn has none")
  func withdrawnOnly() throws {
    var book = PriceBook()
    let row = try Self.row(from: 50_000, 1)
    try book.add(row, now: 0)
    book.remove(row, now: 0)
    #expect(book.allRows.isEmpty)
    #expect(book.clientPrice(of: "llama", at: .max, unknown: .refuse) == nil)
    book.remove(row, now: 0)
    #expect(book.count == 0)
  }

  @Test("the number of rows is bounded")
  func bound() throws {
    var book = PriceBook()
    for number in 0..<Limits.priceRows.value {
      try book.add(Self.row(from: Int64(number), 1), now: 0)
    }
    #expect(throws: PriceRowRefusal.full) { try book.add(Self.row("other", from: 0, 1), now: 0) }
  }

  @Test("pages have every row once, in order, also if rows are added between two pages")
  func pages() throws {
    var book = PriceBook()
    for model: ModelID in ["a", "b", "org/m"] {
      for host: HostID? in [nil, "gpu-1", "gpu-2"] {
        for time: Int64 in [5, 100, 2_000] {
          try book.add(Self.row(model, host, from: time, 1), now: 0)
        }
      }
    }
    for model: ModelID? in [nil, "b"] {
      let all = book.allRows.filter { row in model.map { row.model == $0 } ?? true }
      for limit in [1, 4, 27, 100] {
        var changed = book
        var rows: [PriceRow] = []
        while true {
          let page = changed.page(after: rows.last?.place, of: model, limit: limit)
          #expect(page.rows.count <= limit)
          rows += page.rows
          guard page.hasMore else { break }
          guard rows.count < 10 else { continue }
          for model: ModelID in ["a", "z"] {
            try changed.add(Self.row(model, from: 3_000 + Int64(rows.count), 2), now: 0)
          }
        }
        #expect(rows.filter(all.contains) == all, "\(limit)")
        #expect(Set(rows).count == rows.count, "\(limit)")
      }
    }
  }

  @Test("adding rows never changes a price of the past")
  func property() throws {
    for seed in UInt64(0)..<50 {
      var rng = SplitMixSource(seed: seed)
      var book = PriceBook()
      var rows: [PriceRow] = []
      for _ in 0..<40 {
        let now = rng.number(Int64(0)...100)
        let host: HostID? = rng.chance(oneIn: 2) ? nil : "gpu-1"
        let row = try Self.row("llama", host, from: rng.number(0...120), rng.number(1...9))
        let before = (0..<now).map { Self.prices(in: book, at: $0) }
        do { try book.add(row, now: now) } catch { continue }
        #expect((0..<now).map { Self.prices(in: book, at: $0) } == before, "seed \(seed)")
        rows.append(row)
      }
      let restored = try PriceBook(stored: rows.shuffled(using: &rng))
      #expect(restored.allRows == book.allRows)
    }
  }

  private static func prices(in book: PriceBook, at time: Int64) -> [TokenPrice?] {
    [
      book.clientPrice(of: "llama", at: time, unknown: .refuse),
      book.hostPrice(of: "llama", on: "gpu-1", at: time, hostDefault: nil),
    ]
  }
}
