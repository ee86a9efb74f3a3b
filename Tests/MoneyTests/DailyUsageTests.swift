import Foundation
import Limits
import Money
import Testing

@Suite("Usage by day and model")
struct DailyUsageTests {
  private static let day: Int64 = 86_400_000
  private let key = AccountID.key("k1")

  private func tokens(_ prompt: Int64, _ completion: Int64) throws -> TokenUsage {
    try TokenUsage(prompt: prompt, completion: completion)
  }

  @Test("requests of one day, key and model are added")
  func sums() throws {
    var usage = DailyUsage()
    usage.record(key, model: "a", try tokens(3, 4), cost: MicroCredits(5), at: 2 * Self.day)
    usage.record(key, model: "a", try tokens(1, 1), cost: MicroCredits(2), at: 3 * Self.day - 1)
    usage.record(key, model: "b", try tokens(100, 1), cost: .zero, at: 2 * Self.day)
    usage.record(key, model: "a", try tokens(1, 0), cost: MicroCredits(1), at: 3 * Self.day)
    usage.record(.key("k2"), model: "a", try tokens(9, 9), cost: .zero, at: 2 * Self.day)
    let rows = usage.rows(of: key, days: 0...9)
    #expect(rows.map(\.day) == [3, 2, 2])
    #expect(rows.map(\.model) == ["a", "b", "a"])
    #expect(rows.last?.requests == 2)
    #expect(rows.last?.usage == (try tokens(4, 5)))
    #expect(rows.last?.cost == MicroCredits(7))
    #expect(usage.rows(of: key, days: 3...3).count == 1)
    #expect(usage.rows(of: .key("k3"), days: 0...9).isEmpty)
    #expect(rows.first?.date == "1970-01-04")
  }

  @Test("a request without tokens is not counted")
  func unanswered() {
    var usage = DailyUsage()
    usage.record(key, model: "a", .zero, cost: .zero, at: 0)
    #expect(usage.rows(of: key, days: 0...0).isEmpty)
  }

  @Test("models beyond the limit of a day are added together")
  func manyModels() throws {
    var usage = DailyUsage()
    for number in 0..<(Limits.usageModels.value + 8) {
      usage.record(key, model: "m\(number)", try tokens(1, 1), cost: MicroCredits(1), at: 0)
    }
    let rows = usage.rows(of: key, days: 0...0)
    #expect(rows.count == Limits.usageModels.value + 1)
    #expect(rows.first { $0.model == DailyUsage.otherModels }?.requests == 8)
    #expect(rows.reduce(0) { $0 + $1.cost.count } == Int64(Limits.usageModels.value + 8))
  }

  @Test("only the latest days are kept, also if the clock jumps")
  func days() throws {
    var usage = DailyUsage()
    let kept = Int64(Limits.usageDays.value)
    for day in 0..<(kept + 4) {
      usage.record(key, model: "a", try tokens(1, 1), cost: .zero, at: day * Self.day)
    }
    #expect(usage.firstDay == 4)
    #expect(usage.rows(of: key, days: 0...99).map(\.day).last == 4)
    usage.record(key, model: "a", try tokens(1, 1), cost: .zero, at: .max)
    #expect(usage.rows(of: key, days: 0...99).count == Int(kept) - 1)
    // A day that was dropped does not come back.
    usage.record(key, model: "a", try tokens(1, 1), cost: .zero, at: 0)
    #expect(usage.rows(of: key, days: 0...4).isEmpty)
    for time in [Int64.min, .max] {
      usage.record(key, model: "a", try tokens(.max, .max), cost: MicroCredits(.max), at: time)
    }
  }

  @Test("without room the oldest day is dropped, and a full day says that it is incomplete")
  func room() throws {
    var usage = DailyUsage(maximumRows: 3)
    for day in Int64(0)...3 {
      usage.record(key, model: "a", try tokens(1, 1), cost: .zero, at: day * Self.day)
    }
    #expect(usage.firstDay == 1)
    #expect(usage.rows(of: key, days: 0...9).map(\.day) == [3, 2, 1])
    for number in 0..<5 {
      usage.record(
        .key("other-\(number)"), model: "a", try tokens(1, 1), cost: .zero, at: 3 * Self.day)
    }
    #expect(usage.firstDay == 4)
    usage.record(key, model: "a", try tokens(1, 1), cost: .zero, at: 4 * Self.day)
    #expect(usage.rows(of: key, days: 0...9).map(\.day) == [4])
  }

  @Test("rows of two tables become one per day and model")
  func merge() throws {
    func row(_ day: Int64, _ model: String, _ requests: Int64) throws -> DailyUsage.Row {
      DailyUsage.Row(
        day: day, model: model, requests: requests, usage: try tokens(requests, 0),
        cost: MicroCredits(requests))
    }
    let merged = [try row(2, "a", 1), try row(1, "a", 4)].merged(
      with: [try row(2, "a", 2), try row(2, "b", 9)])
    #expect(merged == [try row(2, "b", 9), try row(2, "a", 3), try row(1, "a", 4)])
  }

  @Test("a table made from a snapshot counts on like the original")
  func snapshots() throws {
    var usage = DailyUsage(maximumRows: 6)
    for number in Int64(0)..<40 {
      usage.record(
        .key("k\(number % 2)"), model: "m\(number % 3)", try tokens(number, 1),
        cost: MicroCredits(number), at: number * Self.day / 4)
    }
    let json = try JSONEncoder().encode(usage.snapshot)
    let snapshot = try JSONDecoder().decode(DailyUsage.Snapshot.self, from: json)
    var restored = try #require(DailyUsage(restoring: snapshot, maximumRows: 6))
    #expect(restored.snapshot == usage.snapshot)
    for number in Int64(40)..<80 {
      for key in [self.key, .key("k0")] {
        usage.record(key, model: "m", try tokens(1, 1), cost: .zero, at: number * Self.day / 4)
        restored.record(key, model: "m", try tokens(1, 1), cost: .zero, at: number * Self.day / 4)
      }
      #expect(restored.snapshot == usage.snapshot)
    }
    #expect(DailyUsage(restoring: snapshot, maximumRows: 1) == nil)
  }

  @Test("a snapshot with an impossible day or cost makes no table")
  func impossibleSnapshots() throws {
    var usage = DailyUsage()
    usage.record(key, model: "m", try tokens(1, 1), cost: MicroCredits(5), at: Self.day)
    let text = String(decoding: try JSONEncoder().encode(usage.snapshot), as: UTF8.self)
    for (member, impossible) in [("\"d\":1", "\"d\":-1"), ("\"c\":5", "\"c\":-5")] {
      #expect(text.contains(member))
      let json = Data(text.replacing(member, with: impossible).utf8)
      let snapshot = try JSONDecoder().decode(DailyUsage.Snapshot.self, from: json)
      #expect(DailyUsage(restoring: snapshot) == nil, "\(impossible)")
    }
  }
}
