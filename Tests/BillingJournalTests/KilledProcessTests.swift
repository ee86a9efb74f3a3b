import BillingJournal
import ClusterModel
import Foundation
import Money
import Testing

/// A process may be killed between any two writes to its memory-mapped file. The file then has some
/// of the 8-byte words that the change writes. The tests make such files.
@Suite("A process that is killed during a change")
struct KilledProcessTests {
  /// Applies some of the changed words. A word has 8 bytes.
  private func mixed(
    _ before: [UInt8], _ after: [UInt8], words: some Collection<Int>
  ) -> [UInt8] {
    var bytes = before
    for word in words { bytes.replaceSubrange(word..<word + 8, with: after[word..<word + 8]) }
    return bytes
  }

  private func changedWords(_ before: [UInt8], _ after: [UInt8]) -> [Int] {
    stride(from: 0, to: before.count, by: 8).filter {
      before[$0..<$0 + 8] != after[$0..<$0 + 8]
    }
  }

  /// Opens a sample of the files that a kill during one change can leave.
  private func entries(
    _ scratch: JournalScratch, _ before: [UInt8], _ after: [UInt8],
    using random: inout SplitMix64
  ) throws -> [[BillingEntry]] {
    let changed = changedWords(before, after)
    let subsets =
      (0...changed.count).map { Array(changed.prefix($0)) }
      + (0...changed.count).map { Array(changed.suffix($0)) }
      + (0..<20).map { _ in changed.filter { _ in Bool.random(using: &random) } }
    return try subsets.map { words in
      let opened = try scratch.reopen(mixed(before, after, words: words))
      #expect(opened.notice == nil)
      return opened.entries
    }
  }

  @Test("leaves its answers to the next process", arguments: 1...4 as ClosedRange<UInt64>)
  func killed(round: UInt64) async throws {
    let scratch = try JournalScratch()
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = scratch.path as String, round = round as UInt64] in
      let journal = try BillingJournal.open(path: path, incarnation: round, slots: 4).journal
      var bill = try journal.begin(.example("a"))
      let host = bill.addHost("h", "qwen", .winner)
      var random = SplitMix64(seed: round)
      let last = Int.random(in: 1...100_000, using: &random)
      for tokens in 1...last {
        bill.record(completionTokens: tokens, made: tokens, contributed: tokens, by: host)
        if tokens == last / 2 { Thread.detachNewThread { kill(getpid(), SIGKILL) } }
      }
      kill(getpid(), SIGKILL)
    }
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 9, slots: 4)
    #expect(opened.notice == nil)
    let entry = try #require(opened.entries.first)
    let tokens = entry.completionTokens
    #expect(entry.incarnation == round && entry.state == .running && tokens > 0)
    #expect(
      entry.hosts == [
        HostTokens(host: "h", model: "qwen", role: .winner, made: tokens, contributed: tokens)
      ])
  }

  @Test("leaves the tokens before or after the change, never others")
  func update() throws {
    var random = SplitMix64(seed: 4_711)
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 2).journal
    var bill = try journal.begin(.example("a"))
    bill.record(promptTokens: 10, cachedTokens: 5)
    let host = bill.addHost("h", "qwen", .winner)
    for tokens in 1...4 {
      let before = try scratch.contents(of: scratch.path)
      bill.record(completionTokens: tokens, made: tokens, contributed: tokens, by: host)
      let after = try scratch.contents(of: scratch.path)
      for entries in try entries(scratch, before, after, using: &random) {
        let entry = try #require(entries.first)
        #expect(entries.count == 1 && entry.promptTokens == 10)
        #expect([tokens - 1, tokens].contains(entry.completionTokens))
        #expect(entry.hosts.map(\.contributed) == [entry.completionTokens])
      }
    }
  }

  @Test("leaves a new request whole or not at all, and no earlier one of its slot")
  func begin() throws {
    var random = SplitMix64(seed: 4_711)
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 1).journal
    for name in ["first", "second", "third"] {
      let before = try scratch.contents(of: scratch.path)
      let bill = try journal.begin(.example(name))
      let after = try scratch.contents(of: scratch.path)
      // The texts are stored first, then the progress that refers to them. So a kill leaves some
      // words of the texts alone, or all texts and some words of the progress.
      let texts = changedWords(before, after).filter { $0 >= 4_096 + 32 * 8 }
      let written = mixed(before, after, words: texts)
      for (from, to) in [(before, written), (written, after)] {
        for entries in try entries(scratch, from, to, using: &random) {
          #expect(entries.isEmpty || entries.map(\.request) == [.example(name)])
        }
      }
      journal.acknowledge([bill.finish(settlement: 1)])
    }
  }

  @Test("keeps a host's row whole or not at all")
  func addHost() throws {
    var random = SplitMix64(seed: 4_711)
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 1).journal
    var old = try journal.begin(.example("old"))
    #expect(old.addHost("old-host", "qwen", .winner) != nil)
    journal.acknowledge([old.finish(settlement: 1)])
    var bill = try journal.begin(.example("new"))
    let before = try scratch.contents(of: scratch.path)
    #expect(bill.addHost("new-host", "qwen", .winner) != nil)
    let after = try scratch.contents(of: scratch.path)
    let name = changedWords(before, after).filter { $0 >= 4_096 + 32 * 8 }
    let written = mixed(before, after, words: name)
    for (from, to) in [(before, written), (written, after)] {
      for entries in try entries(scratch, from, to, using: &random) {
        let hosts = try #require(entries.first).hosts.map(\.host)
        #expect(hosts.isEmpty || hosts == ["new-host"])
      }
    }
    bill.cancel()
  }

  @Test("leaves a finished or a running answer, and an acknowledged or a finished one")
  func end() throws {
    var random = SplitMix64(seed: 4_711)
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 1).journal
    var bill = try journal.begin(.example("a"))
    bill.record(completionTokens: 3, made: 0, contributed: 0, by: nil)
    let running = try scratch.contents(of: scratch.path)
    _ = bill.finish(settlement: 1)
    let finished = try scratch.contents(of: scratch.path)
    for entries in try entries(scratch, running, finished, using: &random) {
      #expect(entries.map(\.completionTokens) == [3])
    }
    journal.acknowledge("a")
    let acknowledged = try scratch.contents(of: scratch.path)
    for entries in try entries(scratch, finished, acknowledged, using: &random) {
      #expect(entries.isEmpty || entries.map(\.state) == [.finished])
    }
  }

  @Test("random bytes anywhere in the file never trap, and never change the money of an entry")
  func fuzz() throws {
    let scratch = try JournalScratch()
    let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4).journal
    for name in ["a", "b", "c"] {
      var bill = try journal.begin(.example(name))
      for host in ["h1", "h2"] { #expect(bill.addHost(HostID(host), "qwen", .winner) != nil) }
      bill.record(promptTokens: 7, cachedTokens: 0)
      _ = bill.finish(settlement: 1)
    }
    let bytes = try scratch.contents(of: scratch.path)
    let genuine = try scratch.reopen(bytes).entries
    #expect(genuine.count == 3)
    for seed in 0..<200 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...64, using: &random) {
        // Half of the changes are confined to the header and the start of the first slot.
        let end = Bool.random(using: &random) ? 4_096 + 512 : damaged.count
        let position = Int.random(in: 0..<end, using: &random)
        damaged[position] = UInt8.random(in: 0...255, using: &random)
      }
      if seed % 4 == 0 { damaged.removeLast(Int.random(in: 0..<damaged.count, using: &random)) }
      let opened = try scratch.reopen(damaged)
      for entry in opened.entries where entry.state == .finished {
        #expect(genuine.contains { $0.request == entry.request }, "seed \(seed)")
      }
      _ = try opened.journal.begin(.example("next")).finish(settlement: 1)
    }
  }
}
