import BillingJournal
import ClusterModel
import Files
import Foundation
import Limits
import Money
import Testing

@Suite("A gateway's billing journal")
struct BillingJournalTests {
  @Test("the next process gets every answer that was running or not acknowledged, with its tokens")
  func survives() throws {
    let scratch = try JournalScratch()
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4)
    #expect(opened.entries.isEmpty && opened.notice == nil)
    let journal = opened.journal
    var running = try journal.begin(.example("running"))
    running.record(promptTokens: 100, cachedTokens: 40)
    let winner = running.addHost("gpu-1", "qwen", .winner)
    let loser = running.addHost("gpu-2", "other", .loser)
    if let loser { running.record(made: 3, contributed: 0, by: loser) }
    for tokens in 1...57 {
      running.record(completionTokens: tokens, made: tokens + 2, contributed: tokens, by: winner)
    }
    var ended = try journal.begin(.example("ended"))
    ended.record(completionTokens: 5, made: 0, contributed: 0, by: nil)
    _ = ended.finish(settlement: 1)
    _ = try journal.begin(.example("settled")).finish(settlement: 2)
    #expect(journal.acknowledge("settled"))
    try journal.begin(.example("cancelled")).cancel()

    let next = try scratch.reopen(scratch.contents(of: scratch.path))
    let expected = BillingEntry(
      request: .example("running"), incarnation: 1, state: .running, settlement: 3,
      promptTokens: 100, cachedTokens: 40, completionTokens: 57,
      hosts: [
        HostTokens(host: "gpu-1", model: "qwen", role: .winner, made: 59, contributed: 57),
        HostTokens(host: "gpu-2", model: "other", role: .loser, made: 3, contributed: 0),
      ])
    let finished = BillingEntry(
      request: .example("ended"), incarnation: 1, state: .finished, settlement: 1,
      completionTokens: 5)
    #expect(next.notice == nil)
    #expect(Set(next.entries) == [expected, finished])
  }

  @Test("the bill of an answer that ended replaces its tokens, and is kept over restarts")
  func finalBill() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4).journal
    var open = try journal.begin(.example("body"))
    open.record(promptTokens: 100, cachedTokens: 0)
    let first = open.addHost("gpu-1", "qwen", .winner)
    open.record(completionTokens: 5, made: 5, contributed: 5, by: first)
    let hosts = [
      HostTokens(host: "gpu-1", model: "qwen", role: .winner, made: 4, contributed: 3),
      HostTokens(host: "gpu-2", model: "qwen", role: .continued, made: 8, contributed: 8),
    ]
    _ = open.finish(
      settlement: 1,
      bill: UnconfirmedBill(
        billed: MicroCredits(77), promptTokens: 60, cachedTokens: 20, completionTokens: 11,
        hosts: hosts))
    _ = try journal.begin(.example("free")).finish(
      settlement: 2,
      bill: UnconfirmedBill(
        billed: .zero, promptTokens: 0, cachedTokens: 0, completionTokens: 0, hosts: []))

    let expected = BillingEntry(
      request: .example("body"), incarnation: 1, state: .finished, settlement: 1,
      promptTokens: 60, cachedTokens: 20, completionTokens: 11, billed: MicroCredits(77),
      hosts: hosts)
    let free = BillingEntry(
      request: .example("free"), incarnation: 1, state: .finished, settlement: 2, billed: .zero)
    var path = scratch.path
    for incarnation in 2...3 as ClosedRange<UInt64> {
      let bytes = try scratch.contents(of: path)
      path = scratch.path("copy-\(incarnation)")
      try scratch.write(bytes, to: path)
      let next = try BillingJournal.open(path: path, incarnation: incarnation, slots: 4)
      #expect(Set(next.entries) == [expected, free])
    }
  }

  @Test("an entry is returned after every restart until it is acknowledged")
  func unacknowledged() throws {
    let scratch = try JournalScratch()
    for incarnation in 1...4 as ClosedRange<UInt64> {
      let opened = try BillingJournal.open(path: scratch.path, incarnation: incarnation, slots: 8)
      #expect(opened.entries.map(\.incarnation) == Array(1..<incarnation))
      _ = try opened.journal.begin(.example("request \(incarnation)"))
    }
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 5, slots: 8)
    #expect(opened.journal.usedSlots == 4)
    for entry in opened.entries { #expect(opened.journal.acknowledge(entry.request.id)) }
    #expect(!opened.journal.acknowledge("request 1"))
    #expect(opened.journal.usedSlots == 0)
    #expect(try scratch.reopen(scratch.contents(of: scratch.path)).entries.isEmpty)
  }

  @Test("running answers get the numbers after the last settlement, and keep them")
  func numbers() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4).journal
    let kept = try journal.begin(.example("kept"))
    for number in 1...7 as ClosedRange<UInt64> {
      _ = try journal.begin(.example("\(number)")).finish(settlement: number)
      #expect(journal.acknowledge("\(number)"))
    }
    let running = try journal.begin(.example("running"))
    _ = kept.finish(settlement: 8)
    _ = running

    var path = scratch.path
    for incarnation in 2...4 as ClosedRange<UInt64> {
      let bytes = try scratch.contents(of: path)
      path = scratch.path("copy-\(incarnation)")
      try scratch.write(bytes, to: path)
      let next = try BillingJournal.open(path: path, incarnation: incarnation, slots: 4)
      let numbers = next.entries.map { [$0.request.id: $0.settlement] }
      #expect(Set(numbers) == [["kept": 8], ["running": 9]])
    }
    // The next process counts its settlements from 1, whatever number an earlier process reached.
    let bytes = try scratch.contents(of: path)
    path = scratch.path("last")
    try scratch.write(bytes, to: path)
    let last = try BillingJournal.open(path: path, incarnation: 5, slots: 4).journal
    #expect(last.acknowledge("kept"))
    _ = try last.begin(.example("own"))
    let entries = try scratch.reopen(scratch.contents(of: path)).entries
    #expect(entries.first { $0.request.id == "own" }?.settlement == 1)
  }

  @Test("a number of an answer without an entry is not given to a running answer")
  func numberWithoutEntry() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2).journal
    _ = try journal.begin(.example("running"))
    _ = try journal.begin(.example("ended")).finish(settlement: 1)
    #expect(throws: BillingRefusal.full) { _ = try journal.begin(.example("without")) }
    for number in 2...300 as ClosedRange<UInt64> { journal.recordNumber(number) }
    var bytes = try scratch.contents(of: scratch.path)
    let next = try scratch.reopen(bytes, slots: 2)
    #expect(next.entries.first { $0.request.id == "running" }?.settlement == 301)
    // A damaged number is ignored.
    bytes[6 * 8 + 7] ^= 0x40
    let damaged = try scratch.reopen(bytes, slots: 2)
    #expect(damaged.notice == nil)
    #expect(damaged.entries.first { $0.request.id == "running" }?.settlement == 2)
  }

  @Test("a full journal refuses a request until a settlement is acknowledged")
  func full() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2).journal
    for round in 0..<10 {
      _ = try journal.begin(.example("a \(round)")).finish(settlement: 1)
      _ = try journal.begin(.example("b \(round)")).finish(settlement: 1)
      #expect(throws: BillingRefusal.full) { _ = try journal.begin(.example("c")) }
      #expect(journal.acknowledge("b \(round)"))
      let reused = try journal.begin(.example("c \(round)"))
      let seen = try scratch.reopen(scratch.contents(of: scratch.path)).entries
      #expect(Set(seen.map(\.request.id)) == ["a \(round)", "c \(round)"])
      reused.cancel()
      #expect(journal.acknowledge("a \(round)"))
    }
  }

  @Test("a running answer cannot be acknowledged, and an id is taken once")
  func duplicates() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2).journal
    let bill = try journal.begin(.example("a"))
    #expect(!journal.acknowledge("a"))
    #expect(throws: BillingRefusal.duplicate) { _ = try journal.begin(.example("a")) }
    _ = bill.finish(settlement: 1)
    #expect(throws: BillingRefusal.duplicate) { _ = try journal.begin(.example("a")) }
    #expect(journal.acknowledge("a"))
    _ = try journal.begin(.example("a")).finish(settlement: 1)
  }

  @Test("an answer is acknowledged once by its slot, and not after another answer took the slot")
  func acknowledgedSlots() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2).journal
    let first = try journal.begin(.example("a")).finish(settlement: 1)
    let second = try journal.begin(.example("b")).finish(settlement: 2)
    journal.acknowledge([second, first])
    #expect(journal.usedSlots == 0)
    #expect(!journal.acknowledge("a") && !journal.acknowledge("b"))

    // Both slots are used again, one by a running answer.
    let running = try journal.begin(.example("c"))
    let third = try journal.begin(.example("d")).finish(settlement: 3)
    journal.acknowledge([first, second])
    #expect(journal.usedSlots == 2)
    let seen = try scratch.reopen(scratch.contents(of: scratch.path)).entries
    #expect(Set(seen.map(\.request.id)) == ["c", "d"])
    journal.acknowledge([third])
    running.cancel()
    #expect(journal.usedSlots == 0)
    #expect(try scratch.reopen(scratch.contents(of: scratch.path)).entries.isEmpty)
  }

  @Test("an entry of an earlier process is acknowledged by its id alone")
  func acknowledgedPredecessor() throws {
    let scratch = try JournalScratch()
    let before = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2).journal
    let old = try before.begin(.example("old")).finish(settlement: 1)
    let next = try scratch.reopen(scratch.contents(of: scratch.path), slots: 2)
    next.journal.acknowledge([old])
    #expect(next.journal.usedSlots == 1)
    #expect(next.journal.acknowledge("old"))
    #expect(next.journal.usedSlots == 0)
  }

  @Test("the longest model name fits, and a longer text is refused and takes no slot")
  func longTexts() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 1).journal
    let huge = String(repeating: "é", count: 1 << 20)
    #expect(throws: BillingRefusal.textTooLong) { _ = try journal.begin(.example(huge)) }
    let long = ModelID(String(repeating: "é", count: Limits.modelNameBytes.value / 2))
    let request = BilledRequest.example("long", model: long)
    var bill = try journal.begin(request)
    #expect(bill.addHost(HostID(huge), "qwen", .winner) == nil)
    #expect(bill.addHost(HostID(String(repeating: "h", count: 128)), long, .winner) != nil)
    #expect(bill.addHost(HostID(String(repeating: "g", count: 96)), long, .failed) != nil)
    _ = bill.finish(settlement: 1)
    let entries = try scratch.reopen(scratch.contents(of: scratch.path)).entries
    #expect(entries.map(\.request) == [request])
    #expect(entries.first?.hosts.map(\.host.name.utf8.count) == [128, 96])
    // Both names together do not fit, so the model is left out.
    #expect(entries.first?.hosts.map(\.model) == [nil, long])
  }

  @Test("a ninth host is not recorded, and a host that returns keeps its row")
  func manyHosts() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 1).journal
    var bill = try journal.begin(.example("a"))
    let hosts = (0..<9).map { bill.addHost(HostID("host-\($0)"), "qwen", .winner) }
    #expect(hosts.map { $0 == nil } == [Bool](repeating: false, count: 8) + [true])
    #expect(bill.addHost("host-3", "qwen", .winner) == hosts[3])
    bill.record(completionTokens: 9, made: 9, contributed: 9, by: hosts[8])
    _ = bill.finish(settlement: 1)
    let entry = try scratch.entry("a")
    #expect(entry.completionTokens == 9 && entry.hosts.count == 8)
  }

  @Test("a host that breaks off gets another role, and a host with two models has two rows")
  func roles() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 1).journal
    var bill = try journal.begin(.example("a"))
    let first = bill.addHost("gpu", "large", .winner)
    bill.record(completionTokens: 4, made: 4, contributed: 4, by: first)
    let second = bill.addHost("gpu", "small", .continued)
    if let first { bill.setRole(.failed, of: first) }
    bill.record(completionTokens: 9, made: 6, contributed: 5, by: second)
    let expected = [
      HostTokens(host: "gpu", model: "large", role: .failed, made: 4, contributed: 4),
      HostTokens(host: "gpu", model: "small", role: .continued, made: 6, contributed: 5),
    ]
    let running = try scratch.reopen(scratch.contents(of: scratch.path)).entries
    #expect(running.map(\.hosts) == [expected])
    _ = bill.finish(settlement: 1)
    #expect(try scratch.entry("a").hosts == expected)
  }

  @Test("counts that no answer can have are capped")
  func counts() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 1).journal
    var bill = try journal.begin(.example("a"))
    let host = bill.addHost("h", "qwen", .winner)
    bill.record(promptTokens: .max, cachedTokens: .min)
    bill.record(completionTokens: -1, made: .max, contributed: -5, by: host)
    _ = bill.finish(settlement: 1)
    let entry = try scratch.entry("a")
    #expect(entry.promptTokens == .max && entry.cachedTokens == 0 && entry.completionTokens == 0)
    #expect(
      entry.hosts == [
        HostTokens(host: "h", model: "qwen", role: .winner, made: (1 << 29) - 1, contributed: 0)
      ])
  }

  @Test("many tasks use the journal at the same time, each with its own answer")
  func concurrent() async throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 64).journal
    await withTaskGroup { group in
      for task in 0..<16 {
        group.addTask {
          for round in 1...20 {
            guard var bill = try? journal.begin(.example("\(task)/\(round)")) else { continue }
            let host = bill.addHost(HostID("host-\(task)"), "qwen", .winner)
            for tokens in 1...round {
              bill.record(completionTokens: tokens, made: tokens, contributed: tokens, by: host)
            }
            let finished = bill.finish(settlement: UInt64(task * 100 + round))
            if round < 20 { journal.acknowledge([finished]) }
          }
        }
      }
    }
    let entries = try scratch.reopen(scratch.contents(of: scratch.path), slots: 64).entries
    #expect(Set(entries.map(\.request.id)) == Set((0..<16).map { "\($0)/20" }))
    for entry in entries {
      let task = entry.request.id.prefix { $0 != "/" }
      #expect(entry.completionTokens == 20)
      #expect(
        entry.hosts == [
          HostTokens(
            host: HostID("host-\(task)"), model: "qwen", role: .winner, made: 20, contributed: 20)
        ])
    }
  }
}

@Suite("The billing journal's file")
struct BillingJournalFileTests {
  @Test("has a fixed size, and is for its owner only")
  func mode() throws {
    let scratch = try JournalScratch()
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 1)
    let facts = try FileManager.default.attributesOfItem(atPath: scratch.path)
    #expect(facts[.posixPermissions] as? Int == 0o600)
    let size = try scratch.contents(of: scratch.path).count
    #expect(size == 4_096 + Limits.journalSlots.value * 4_096)
    let bill = try opened.journal.begin(.example("a"))
    #expect(try scratch.contents(of: scratch.path).count == size)
    bill.cancel()
  }

  @Test("a second process is refused until the first one has closed it")
  func locked() throws {
    let scratch = try JournalScratch()
    var first: BillingJournal.Opened? = try BillingJournal.open(
      path: scratch.path, incarnation: 1, slots: 2)
    var bill: OpenBill? = try first?.journal.begin(.example("a"))
    func refusal() -> String? {
      do {
        _ = try BillingJournal.open(path: scratch.path, incarnation: 2, slots: 2)
        return nil
      } catch { return error.message }
    }
    #expect(refusal()?.contains(scratch.path) == true)
    first = nil
    // The open bill still writes to the file, so the lock remains.
    #expect(refusal()?.contains("Another process") == true)
    bill = nil
    #expect(bill == nil && first == nil && refusal() == nil)
  }

  @Test("a link is refused, and its target stays")
  func link() throws {
    let scratch = try JournalScratch()
    let target = scratch.path("target")
    try scratch.write([1, 2, 3], to: target)
    for name in [scratch.path + ".lock", scratch.path] {
      try FileManager.default.createSymbolicLink(atPath: name, withDestinationPath: target)
      #expect(throws: FileRefused.self) {
        _ = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2)
      }
      try FileManager.default.removeItem(atPath: name)
    }
    #expect(try scratch.contents(of: target) == [1, 2, 3])
  }

  @Test("a file of the journal that other users may read is refused")
  func openToOthers() throws {
    let scratch = try JournalScratch()
    try scratch.write([], to: scratch.path)
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: scratch.path)
    #expect(throws: FileRefused.self) {
      _ = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2)
    }
  }

  @Test("a file that is no journal is kept under another name, and a new one is begun")
  func notAJournal() throws {
    let scratch = try JournalScratch()
    _ = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2)
    let journal = try scratch.contents(of: scratch.path)
    var newer = journal
    newer[8] += 1
    let files: [[UInt8]] = [
      [], [0], Array(journal.dropLast()), journal + [0], Array(journal.prefix(4_096)), newer,
      [UInt8](repeating: 0, count: journal.count), [UInt8](repeating: 0xFF, count: 10_000),
    ]
    for (number, file) in files.enumerated() {
      try scratch.write(file, to: scratch.path)
      let opened = try BillingJournal.open(path: scratch.path, incarnation: 2, slots: 2)
      #expect(opened.entries.isEmpty)
      let notice = try #require(opened.notice)
      let kept = "\(scratch.path).damaged-\(number + 1)"
      #expect(notice.contains(scratch.path) && notice.contains(kept))
      #expect(try scratch.contents(of: kept) == file)
      _ = try opened.journal.begin(.example("a")).finish(settlement: 1)
    }
    // After eight damaged files, the eighth is overwritten, so that a crash loop does not fill the
    // disk.
    for _ in 0..<3 {
      try scratch.write([9], to: scratch.path)
      _ = try BillingJournal.open(path: scratch.path, incarnation: 3, slots: 2)
    }
    #expect(try scratch.names.filter { $0.contains("damaged") }.count == 8)
    #expect(try scratch.contents(of: "\(scratch.path).damaged-8") == [9])
  }

  @Test("one damaged slot loses one answer; the others are returned and the file is kept")
  func damagedSlot() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 3).journal
    for name in ["a", "b", "c"] { _ = try journal.begin(.example(name)).finish(settlement: 1) }
    var bytes = try scratch.contents(of: scratch.path)
    // This byte belongs to the text of the second slot's request.
    bytes[4_096 + 4_096 + 32 * 8 + 100] ^= 1
    let next = try scratch.reopen(bytes)
    #expect(next.entries.map(\.request.id) == ["a", "c"])
    let notice = try #require(next.notice)
    #expect(notice.contains("1 of the 3 slots"))
    let kept = try scratch.names.filter { $0.hasSuffix("damaged-1") }
    #expect(try kept.map { try scratch.contents(of: scratch.path($0)) } == [bytes])
  }

  @Test("a journal with more slots than this version uses loses no entry")
  func fewerSlots() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 6).journal
    for index in 0..<6 { _ = try journal.begin(.example("\(index)")).finish(settlement: 1) }
    let next = try scratch.reopen(scratch.contents(of: scratch.path), slots: 2)
    #expect(next.entries.count == 6)
    #expect(throws: BillingRefusal.full) { _ = try next.journal.begin(.example("more")) }
    next.journal.acknowledge("3")
    _ = try next.journal.begin(.example("more")).finish(settlement: 1)
  }
}
