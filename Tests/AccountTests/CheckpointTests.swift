import Access
import ClusterModel
import Foundation
import Money
import RegistryCore
import Testing

@Suite("Checkpoints of the ledger")
struct CheckpointTests {
  /// A book from a checkpoint and the transactions after it.
  private func book(
    _ store: SimulatedStore, from checkpoint: AccountCheckpoint, at time: AccountTime
  ) throws -> (AccountBook, [AccountBook.Directive]) {
    var replay = try store.replay(at: time)
    let place = Int(checkpoint.position)
    try replay.restore(checkpoint, last: try #require(store.log.prefix(place).last))
    for transaction in store.log.dropFirst(place) { try replay.add(transaction) }
    return try replay.finish(keys: store.keys)
  }

  private func throughJSON(_ checkpoint: AccountCheckpoint) throws -> AccountCheckpoint {
    let json = try JSONEncoder().encode(checkpoint)
    return try JSONDecoder().decode(AccountCheckpoint.self, from: json)
      .adding(rememberedIDs: checkpoint.rememberedIDs)
  }

  @Test("a checkpoint and the rest make the same book as the whole ledger, at every cut")
  func everyCut() throws {
    var cuts = 0
    for seed in UInt64(200)..<212 {
      var simulation = try AccountSimulation(
        seed: seed, options: .init(changesBudgets: true, wallJumps: true))
      try simulation.run(steps: 260)
      let (store, time) = (simulation.store, simulation.time)
      let (whole, directives) = try store.book(at: time)
      var prefix = try store.replay(at: time)
      for transaction in store.log {
        try prefix.add(transaction)
        let checkpoint = try throughJSON(try #require(prefix.checkpoint))
        #expect(checkpoint == prefix.checkpoint, "seed \(seed)")
        let (again, repeated) = try book(store, from: checkpoint, at: time)
        #expect(
          again.checkpoint == whole.checkpoint, "seed \(seed), cut \(checkpoint.position)")
        #expect(repeated == directives, "seed \(seed), cut \(checkpoint.position)")
        cuts += 1
      }
    }
    #expect(cuts > 150, "the simulation writes almost nothing")
  }

  @Test("a checkpoint of a running book agrees with the ledger at every step, and continues it")
  func runningBook() throws {
    var leased = 0
    for seed in UInt64(300)..<312 {
      var simulation = try AccountSimulation(
        seed: seed, options: .init(changesBudgets: true, wallJumps: true))
      var checkpoints: [AccountCheckpoint] = []
      for _ in 0..<260 {
        try simulation.run(steps: 1)
        guard let checkpoint = simulation.book.checkpoint,
          checkpoint.position > checkpoints.last?.position ?? 0
        else { continue }
        checkpoints.append(checkpoint)
        if simulation.book.totalLeased > .zero { leased += 1 }
        var replay = try simulation.store.replay(at: simulation.time)
        for transaction in simulation.store.log { try replay.add(transaction) }
        let replayed = try #require(replay.checkpoint)
        #expect(checkpoint.differences(from: replayed) == [], "seed \(seed)")
      }
      try simulation.run(steps: 200)
      let (store, time) = (simulation.store, simulation.time)
      let whole = try store.book(at: time).0
      let expected = try #require(whole.checkpoint)
      for checkpoint in checkpoints {
        let again = try book(store, from: checkpoint, at: time).0
        let found = try #require(again.checkpoint)
        #expect(
          found.differences(from: expected) == [], "seed \(seed), cut \(checkpoint.position)")
        #expect(again.totalLeased == whole.totalLeased, "seed \(seed)")
        #expect(again.verify(against: store.log) == [], "seed \(seed)")
      }
    }
    #expect(leased > 100, "almost no checkpoint has leases")
  }

  @Test("a simulation continues from a checkpoint without an overspent budget or a lost hold")
  func goesOn() throws {
    for seed in UInt64(400)..<410 {
      var simulation = try AccountSimulation(
        seed: seed, options: .init(restartsFromCheckpoints: true))
      try simulation.run(steps: 1_000)
      #expect(simulation.restoredCheckpoints > 0, "seed \(seed)")
      #expect(simulation.book.verify(against: simulation.store.log) == [], "seed \(seed)")
      let spent = simulation.book.spent(
        BudgetWindow(.rolling, .hour), of: .organisation("acme"), at: simulation.time.wall)
      #expect(try #require(spent).count <= 6_000, "seed \(seed)")
      try simulation.end()
      #expect(simulation.book.totalLeased == .zero, "seed \(seed)")
    }
  }

  // MARK: - Refused checkpoints

  private func history() throws -> (SimulatedStore, AccountTime, AccountCheckpoint) {
    var simulation = try AccountSimulation(seed: 7, options: .init())
    try simulation.run(steps: 400)
    while simulation.book.totalLeased == .zero { try simulation.run(steps: 1) }
    return (simulation.store, simulation.time, try #require(simulation.book.checkpoint))
  }

  @Test("a checkpoint of another ledger is refused")
  func otherLedger() throws {
    let (store, time, checkpoint) = try history()
    var replay = try store.replay(at: time)
    let other = try LedgerTransaction(
      id: "other", kind: .credit, time: time.wall,
      entries: [
        LedgerEntry(account: .issued, amount: MicroCredits(-1)),
        LedgerEntry(account: .organisation("globex"), amount: MicroCredits(1)),
      ])
    #expect(
      throws: CheckpointFault("the ledger has another transaction at its place")
    ) { try replay.restore(checkpoint, last: other) }
  }

  @Test("a checkpoint without a budget that is older, or with cut ids, is refused")
  func incomplete() throws {
    let (store, time, checkpoint) = try history()
    let last = try #require(store.log.last)
    var json = try members(checkpoint)
    let budgets = try #require(json["budgets"] as? [Any])
    json["budgets"] = Array(budgets.dropFirst())
    var replay = try store.replay(at: time)
    #expect(throws: CheckpointFault.self) {
      try replay.restore(decode(json, checkpoint), last: last)
    }
    replay = try store.replay(at: time)
    let cut = checkpoint.adding(rememberedIDs: Array(checkpoint.rememberedIDs.dropLast()))
    #expect(throws: CheckpointFault.self) { try replay.restore(cut, last: last) }
  }

  @Test("a checkpoint whose balances or holds do not fit its leases is refused")
  func impossibleAmounts() throws {
    let (store, time, checkpoint) = try history()
    let last = try #require(store.log.last)
    for member in ["balances", "leases", "payers"] {
      var json = try members(checkpoint)
      json[member] = member == "leases" ? ["gateways": [Any]()] : [Any]()
      var replay = try store.replay(at: time)
      #expect(throws: CheckpointFault.self, "\(member)") {
        try replay.restore(decode(json, checkpoint), last: last)
      }
    }
  }

  @Test("a checkpoint without usage of keys, or with an impossible one, is refused")
  func usage() throws {
    let (store, time, checkpoint) = try history()
    var json = try members(checkpoint)
    var usage = try #require(json["usage"] as? [String: Any])
    let lines = try #require(usage["lines"] as? [Any])
    usage["lines"] = lines + lines
    json["usage"] = usage
    var replay = try store.replay(at: time)
    #expect(throws: CheckpointFault("its usage of keys is impossible")) {
      try replay.restore(decode(json, checkpoint), last: try #require(store.log.last))
    }
    json["usage"] = nil
    #expect(throws: DecodingError.self) { try decode(json, checkpoint) }
  }

  @Test("a checkpoint with other usage than its ledger is found")
  func otherUsage() throws {
    let (_, _, checkpoint) = try history()
    var json = try members(checkpoint)
    json["usage"] = ["firstDay": 0, "lines": [Any]()]
    #expect(
      try decode(json, checkpoint).differences(from: checkpoint) == ["has other usage of keys"])
  }

  @Test("a checkpoint of another version is refused")
  func otherFormat() throws {
    let (_, _, checkpoint) = try history()
    var json = try members(checkpoint)
    json["format"] = 99
    #expect(throws: CheckpointFault.self) { try decode(json, checkpoint) }
  }

  @Test("no number in a checkpoint makes the registry crash")
  func hostileNumbers() throws {
    let (store, time, checkpoint) = try history()
    let last = try #require(store.log.last)
    let paths = try leaves(members(checkpoint), [])
    #expect(paths.count > 50)
    for path in paths {
      for number in [Int64.min, -1, 0, 1, .max] {
        let json = try replacing(path[...], number, in: members(checkpoint))
        guard let changed = try? decode(json, checkpoint) else { continue }
        var replay = try store.replay(at: time)
        do {
          try replay.restore(changed, last: last)
          // A number that was accepted must not cause a crash later.
          var (book, _) = try replay.finish(keys: store.keys)
          _ = book.handle(.tick, at: time)
        } catch {
          continue
        }
      }
    }
  }

  private func members(_ checkpoint: AccountCheckpoint) throws -> [String: Any] {
    let json = try JSONSerialization.jsonObject(with: try JSONEncoder().encode(checkpoint))
    return try #require(json as? [String: Any])
  }

  private func decode(_ json: Any, _ checkpoint: AccountCheckpoint) throws -> AccountCheckpoint {
    try JSONDecoder().decode(
      AccountCheckpoint.self, from: try JSONSerialization.data(withJSONObject: json)
    ).adding(rememberedIDs: checkpoint.rememberedIDs)
  }

  private enum Step {
    case member(String)
    case element(Int)
  }

  /// Paths of all numbers in the JSON.
  private func leaves(_ json: Any, _ path: [Step]) throws -> [[Step]] {
    switch json {
    case let object as [String: Any]:
      try object.sorted { $0.key < $1.key }
        .flatMap { try leaves($0.value, path + [.member($0.key)]) }
    case let array as [Any]:
      try array.enumerated().flatMap { try leaves($0.element, path + [.element($0.offset)]) }
    case is String: []
    default: [path]
    }
  }

  private func replacing(_ path: ArraySlice<Step>, _ number: Int64, in json: Any) throws -> Any {
    guard let step = path.first else { return number }
    switch step {
    case .member(let name):
      var object = try #require(json as? [String: Any])
      object[name] = try replacing(path.dropFirst(), number, in: try #require(object[name]))
      return object
    case .element(let index):
      var array = try #require(json as? [Any])
      array[index] = try replacing(path.dropFirst(), number, in: array[index])
      return array
    }
  }
}
