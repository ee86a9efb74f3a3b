import Access
import ClusterModel
import ClusterTesting
import Limits
import RegistryCore
import Testing

@Suite("The day's use of keys over all gateways")
struct KeyUseBookTests {
  private static let hour: Int64 = 475_000

  private func peer(_ number: UInt64) -> PeerID { PeerID(name: "gateway", incarnation: number) }

  /// A key's id that is made of a number.
  private static func key(_ number: Int) throws -> KeyID {
    var rest = number
    let letters = (0..<12).map { _ -> UInt8 in
      defer { rest /= 26 }
      return UInt8(ascii: "a") + UInt8(rest % 26)
    }
    return try #require(KeyID(letters))
  }

  private func use(_ key: KeyID, _ requests: Int, hoursAgo: Int64 = 0) -> DayUse {
    DayUse(key: key, hours: [HourlyUse(hour: Self.hour - hoursAgo, requests: requests)])
  }

  private func report(
    _ uses: [DayUse] = [], after: UInt64 = 0, epoch: UInt64 = 1, hour: Int64 = KeyUseBookTests.hour
  ) -> KeyUseReport {
    KeyUseReport(epoch: epoch, after: after, hour: hour, uses: uses)
  }

  @Test("a gateway receives the sum of all other processes, also of those that have ended")
  func sums() throws {
    let key = try Self.key(1)
    var book = KeyUseBook(epoch: 1)
    _ = book.answer(report([use(key, 3)]), from: peer(1), at: Self.hour)
    _ = book.answer(report([use(key, 4)]), from: peer(2), at: Self.hour)
    let third = book.answer(report(), from: peer(3), at: Self.hour)
    #expect(third == KeyUseTable(epoch: 1, revision: 2, isComplete: true, uses: [use(key, 7)]))
    #expect(book.answer(report(), from: peer(1), at: Self.hour).uses == [use(key, 4)])
    // A report is a total, so a repeated one changes nothing.
    let repeated = book.answer(report([use(key, 4)]), from: peer(2), at: Self.hour)
    #expect(repeated.revision == 2 && repeated.uses == [use(key, 3)])
    _ = book.answer(report([use(key, 1)]), from: peer(2), at: Self.hour)
    #expect(book.answer(report(), from: peer(3), at: Self.hour).uses == [use(key, 4)])
  }

  @Test("a gateway receives each change of other processes once")
  func changes() throws {
    let keys = try (0..<3).map(Self.key)
    var book = KeyUseBook(epoch: 1)
    let all = keys.map { use($0, 1) }
    _ = book.answer(report(all), from: peer(1), at: Self.hour)
    let first = book.answer(report(), from: peer(2), at: Self.hour)
    #expect(Set(first.uses) == Set(all))
    let own = [use(keys[0], 5)]
    let second = book.answer(report(own, after: first.revision), from: peer(2), at: Self.hour)
    #expect(second.uses.isEmpty && second.isComplete && second.revision > first.revision)
    _ = book.answer(report([use(keys[1], 2)]), from: peer(1), at: Self.hour)
    let third = book.answer(report(after: second.revision), from: peer(2), at: Self.hour)
    #expect(third.uses == [use(keys[1], 2)])
    // The revisions of an earlier registry mean nothing. Its gateway reports everything again.
    let old = report([use(keys[2], 9)], after: 99, epoch: 8)
    let unknown = book.answer(old, from: peer(2), at: Self.hour)
    #expect(Set(unknown.uses) == [all[0], use(keys[1], 2), all[2]])
    #expect(!book.rows.contains { $0.process == peer(2) && $0.use.key == keys[2] })
    #expect(book.answer(report(after: 99), from: peer(2), at: Self.hour).uses.isEmpty)
  }

  @Test("a report replaces the hours that it names, and no others")
  func changedHours() throws {
    let key = try Self.key(1)
    func hours(_ counts: [Int64: Int]) -> DayUse {
      let hours = counts.map { HourlyUse(hour: Self.hour - $0, requests: $1) }
      return DayUse(key: key, hours: hours.sorted { $0.hour < $1.hour })
    }
    var book = KeyUseBook(epoch: 1)
    _ = book.answer(report([hours([2: 5, 1: 4])]), from: peer(1), at: Self.hour)
    _ = book.answer(report([hours([1: 3, 0: 1])]), from: peer(1), at: Self.hour)
    #expect(book.rows.map(\.use) == [hours([2: 5, 1: 3, 0: 1])])
    // A total of zero removes the hour.
    _ = book.answer(report([hours([2: 0])]), from: peer(1), at: Self.hour)
    #expect(book.rows.map(\.use) == [hours([1: 3, 0: 1])])
    // The first report to the next registry has all hours.
    var next = KeyUseBook(epoch: 2, rows: book.rows)
    _ = next.answer(report([hours([0: 1])], epoch: 2), from: peer(1), at: Self.hour)
    #expect(next.rows.map(\.use) == [hours([0: 1])])
    _ = next.answer(report([hours([1: 2])], epoch: 2), from: peer(1), at: Self.hour)
    #expect(next.rows.map(\.use) == [hours([1: 2, 0: 1])])
  }

  @Test("use is forgotten when it is a day old, and old hours are ignored")
  func age() throws {
    let key = try Self.key(1)
    var book = KeyUseBook(epoch: 1)
    let hours = [-9, -2, -1, 0, 24, 25, .max].map { (age: Int64) in
      HourlyUse(hour: Self.hour.subtractingCapped(age), requests: 1)
    }
    _ = book.answer(
      report([DayUse(key: key, hours: hours)]), from: peer(1), at: Self.hour)
    func known(at hour: Int64) -> [Int64] {
      book.answer(report(hour: hour), from: peer(2), at: hour).uses.flatMap(\.hours).map(\.hour)
    }
    #expect(known(at: Self.hour) == [Self.hour - 24, Self.hour, Self.hour + 1])
    #expect(known(at: Self.hour + 1) == [Self.hour, Self.hour + 1])
    #expect(known(at: Self.hour + 25) == [Self.hour + 1])
    #expect(known(at: Self.hour + 26).isEmpty && book.rows.isEmpty)
  }

  @Test("use in every hour fits into the file, also if the gateway's clock is ahead")
  func everyHour() throws {
    let key = try Self.key(1)
    var book = KeyUseBook(epoch: 1)
    for hour in Self.hour...Self.hour + 30 {
      let ahead = report(
        [DayUse(key: key, hours: [HourlyUse(hour: hour + 1, requests: 1)])], hour: hour + 1)
      _ = book.answer(ahead, from: peer(1), at: hour)
    }
    #expect(book.rows.map(\.use.hours.count) == [DayUse.mostHours])
    var slices = KeyUseFile.Slices(book.rows)
    var text: [UInt8] = []
    while let slice = slices.take() { text += slice }
    #expect(KeyUseFile.rows(in: text) == book.rows)
  }

  @Test("use counts in full if the clock of its gateway is wrong by days")
  func otherClock() throws {
    let key = try Self.key(1)
    for skew: Int64 in [-90, 90] {
      var book = KeyUseBook(epoch: 1)
      let hours = [24, 3, 0].map { (age: Int64) in
        HourlyUse(hour: Self.hour + skew - age, requests: 1, tokens: .max)
      }
      let sent = report([DayUse(key: key, hours: hours)], hour: Self.hour + skew)
      _ = book.answer(sent, from: peer(1), at: Self.hour)
      let table = book.answer(report(), from: peer(2), at: Self.hour)
      let known = [24, 3, 0].map { (age: Int64) in Self.hour - age }
      #expect(table.uses.flatMap(\.hours).map(\.hour) == known)
      // A report has totals, so a repeated one changes nothing.
      #expect(book.answer(sent, from: peer(1), at: Self.hour).revision == table.revision)
      let last = [HourlyUse(hour: Self.hour + skew, requests: 5)]
      let next = report([DayUse(key: key, hours: last)], hour: Self.hour + skew)
      _ = book.answer(next, from: peer(1), at: Self.hour)
      let changed = book.answer(report(), from: peer(2), at: Self.hour).uses.flatMap(\.hours)
      #expect(changed.map(\.requests) == [1, 1, 5] && changed.map(\.hour) == known)
      #expect(book.answer(report(), from: peer(2), at: Self.hour + 25).uses.isEmpty)
    }
  }

  @Test("a table has a limited number of keys, and the next one has the rest")
  func pages() throws {
    let most = Limits.accessUseBatch.value
    var book = KeyUseBook(epoch: 1)
    for start in [0, most, 2 * most] {
      let count = start == 2 * most ? 5 : most
      let uses = try (start..<start + count).map { use(try Self.key($0), 1) }
      _ = book.answer(report(uses), from: peer(1), at: Self.hour)
    }
    var keys: Set<KeyID> = []
    var after: UInt64 = 0
    for (count, isComplete) in [(most, false), (most, false), (5, true)] {
      let table = book.answer(report(after: after), from: peer(2), at: Self.hour)
      #expect(table.uses.count == count && table.isComplete == isComplete)
      keys.formUnion(table.uses.map(\.key))
      after = table.revision
    }
    #expect(keys.count == 2 * most + 5)
  }

  @Test("a full book ignores further keys, and has room again when use is a day old")
  func bounded() throws {
    let keys = try (0..<4).map(Self.key)
    var book = KeyUseBook(epoch: 1, capacity: 3)
    let first = book.answer(report(keys.map { use($0, 1) }), from: peer(1), at: Self.hour)
    #expect(first.unrecorded == [keys[3]])
    #expect(Set(book.rows.map(\.use.key)) == Set(keys.prefix(3)))
    let second = book.answer(report([use(keys[0], 2)]), from: peer(1), at: Self.hour)
    #expect(second.unrecorded.isEmpty)
    #expect(book.answer(report(), from: peer(2), at: Self.hour).uses.contains(use(keys[0], 2)))
    let later = Self.hour + 25
    let last = report([use(keys[3], 1, hoursAgo: -25)], hour: later)
    #expect(book.answer(last, from: peer(1), at: later).unrecorded.isEmpty)
    #expect(book.rows.map(\.use.key) == [keys[3]])
  }

  @Test("no gateway learns that its use is recorded while another one's use of the key is not")
  func crowded() throws {
    let keys = try (0..<2).map(Self.key)
    var book = KeyUseBook(epoch: 1, capacity: 2)
    _ = book.answer(report(keys.map { use($0, 1) }), from: peer(1), at: Self.hour)
    let other = report([use(keys[0], 1)])
    #expect(book.answer(other, from: peer(2), at: Self.hour).unrecorded == [keys[0]])
    let known = book.answer(
      report(keys.map { use($0, 2) }), from: peer(1), at: Self.hour)
    #expect(known.unrecorded == [keys[0]])
    // The use that has room is known to other gateways.
    #expect(book.answer(report(), from: peer(2), at: Self.hour).uses.contains(use(keys[0], 2)))
    for (hours, unrecorded) in [(1, [keys[0]]), (2, [])] as [(Int64, [KeyID])] {
      let hour = Self.hour + hours
      let later = report([use(keys[0], 3, hoursAgo: -hours)], hour: hour)
      #expect(book.answer(later, from: peer(1), at: hour).unrecorded == unrecorded)
    }
  }

  @Test("a full book adds up the use of processes that have ended")
  func ended() throws {
    let keys = try (0..<2).map(Self.key)
    var book = KeyUseBook(epoch: 1, capacity: 6)
    for number: UInt64 in [1, 2, 3] {
      _ = book.answer(report(keys.map { use($0, 1) }), from: peer(number), at: Self.hour)
    }
    // Processes that reported an hour ago may still run.
    func own(at hour: Int64) -> KeyUseReport { report([use(keys[0], 5)], hour: hour) }
    _ = book.answer(own(at: Self.hour + 1), from: peer(4), at: Self.hour + 1)
    #expect(book.rows.count == 6)
    let later = Self.hour + 2
    let known = book.answer(report(), from: peer(3), at: later).revision
    _ = book.answer(own(at: later), from: peer(4), at: later)
    // Processes 1 and 2 take one row of each key.
    #expect(book.rows.count == 5)
    let third = book.answer(report(after: known, hour: later), from: peer(3), at: later)
    #expect(third.uses == [use(keys[0], 7)])
    let all = book.answer(report(hour: later), from: peer(5), at: later)
    #expect(Set(all.uses) == [use(keys[0], 8), use(keys[1], 3)])
    #expect(book.answer(report(), from: peer(5), at: Self.hour + 25).uses.isEmpty)
    #expect(book.rows.isEmpty)
  }

  @Test("many changes of a few keys take a bounded amount of memory, and are found")
  func manyChanges() throws {
    let key = try Self.key(1)
    var book = KeyUseBook(epoch: 1)
    for requests in 1...5_000 {
      _ = book.answer(report([use(key, requests)]), from: peer(1), at: Self.hour)
    }
    #expect(book.answer(report(), from: peer(2), at: Self.hour).uses == [use(key, 5_000)])
    #expect(book.answer(report(after: 4_999), from: peer(2), at: Self.hour).uses.count == 1)
    #expect(book.answer(report(after: 5_000), from: peer(2), at: Self.hour).uses.isEmpty)
  }

  // MARK: - With gateways

  private struct Gateway {
    let peer: PeerID
    var windows = RateWindows()
    var exchange = KeyUseExchange()
  }

  @Test(
    "a gateway whose clock is wrong counts the use of others for a day",
    arguments: [-90, -10, -2, -1, 0, 1, 2, 10, 90] as [Int64])
  func clockOfReader(skew: Int64) throws {
    let key = try Self.key(1)
    let limits = KeyLimits(requestsPerDay: 10)
    var book = KeyUseBook(epoch: 1)
    _ = book.answer(report([use(key, 7)]), from: peer(1), at: Self.hour)
    var gateway = Gateway(peer: peer(2))
    for age: Int64 in 0...26 {
      let hour = Self.hour + age
      let now = Instant(sinceStart: .seconds((hour + skew) * 3_600))
      let report = gateway.exchange.report(&gateway.windows, at: now)
      let table = book.answer(report, from: gateway.peer, at: hour)
      _ = gateway.exchange.receive(table, &gateway.windows, at: now)
      // A difference of one hour is not corrected, so the use ends an hour earlier or later.
      if (skew == 1 && age == 24) || (skew == -1 && age == 25) { continue }
      let remainder = try #require(
        gateway.windows.remainders(for: key, limits: limits, at: now).first)
      #expect(remainder.remaining == (age <= 24 ? 3 : 10))
    }
  }

  private enum Loss: CaseIterable {
    case nothing
    case report
    case answer
  }

  /// Gateways with their registry.
  private struct Cluster {
    var book = KeyUseBook(epoch: 1)
    var gateways: [Gateway] = []
    var second = Int(KeyUseBookTests.hour) * 3_600
    private var epoch: UInt64 = 1
    private var lastIncarnation: UInt64 = 0

    init(gateways count: Int) {
      for _ in 0..<count { join() }
    }

    var now: Instant { Instant(sinceStart: .seconds(second)) }

    mutating func join() {
      lastIncarnation += 1
      gateways.append(Gateway(peer: PeerID(name: "gateway", incarnation: lastIncarnation)))
    }

    mutating func restart(_ index: Int) {
      lastIncarnation += 1
      gateways[index] = Gateway(peer: PeerID(name: "gateway", incarnation: lastIncarnation))
    }

    /// Replaces the registry's process.
    /// - Parameter rows: use that the new process reads.
    mutating func restartRegistry(rows: [KeyUseBook.Row]) {
      epoch += 1
      book = KeyUseBook(epoch: epoch, rows: rows)
    }

    /// Two rounds, so that each gateway receives the last reports of all others.
    mutating func exchangeAll() {
      let now = now
      for index in Array(gateways.indices) + Array(gateways.indices) {
        var gateway = gateways[index]
        gateway.windows.gateways = gateways.count
        var isMore = true
        while isMore {
          let report = gateway.exchange.report(&gateway.windows, at: now)
          let table = book.answer(report, from: gateway.peer, at: Int64(second / 3_600))
          isMore = gateway.exchange.receive(table, &gateway.windows, at: now)
        }
        gateways[index] = gateway
      }
    }

    mutating func exchangeOnce(_ index: Int, losing loss: Loss) {
      let now = now
      var gateway = gateways[index]
      let report = gateway.exchange.report(&gateway.windows, at: now)
      switch loss {
      case .nothing:
        let table = book.answer(report, from: gateway.peer, at: Int64(second / 3_600))
        _ = gateway.exchange.receive(table, &gateway.windows, at: now)
      case .report: gateway.exchange.fail(&gateway.windows)
      case .answer:
        _ = book.answer(report, from: gateway.peer, at: Int64(second / 3_600))
        gateway.exchange.fail(&gateway.windows)
      }
      gateways[index] = gateway
    }

    mutating func ask(
      _ index: Int, _ key: KeyID, _ limits: KeyLimits, tokens: Int
    ) -> RateRefusal? {
      let now = now
      switch gateways[index].windows.admit(key, limits: limits, tokens: tokens, at: now) {
      case .admitted(let reservation):
        gateways[index].windows.finish(reservation, tokens: tokens, at: now)
        return nil
      case .refused(let refusal): return refusal
      }
    }
  }

  @Test(
    "while gateways restart, join and leave, days keep to the limit, and each refusal has a cause",
    arguments: 0..<10 as Range<UInt64>)
  func property(seed: UInt64) throws {
    var rng = SeededGenerator(seed: seed)
    let key = try Self.key(1)
    let limits = KeyLimits(
      requestsPerDay: Int.random(in: 5...60, using: &rng),
      tokensPerDay: Int.random(in: 200...2_000, using: &rng))
    var cluster = Cluster(gateways: Int.random(in: 1...3, using: &rng))
    cluster.exchangeAll()
    var admitted: [(second: Int, tokens: Int)] = []
    var refused = 0
    for _ in 0..<600 {
      cluster.second += Int.random(in: 0...2_000, using: &rng)
      switch Int.random(in: 0..<20, using: &rng) {
      case 0: cluster.restart(Int.random(in: 0..<cluster.gateways.count, using: &rng))
      case 1 where cluster.gateways.count < 4: cluster.join()
      case 2 where cluster.gateways.count > 1: cluster.gateways.removeLast()
      case 3: cluster.restartRegistry(rows: cluster.book.rows)
      default: break
      }
      cluster.exchangeAll()
      let tokens = Int.random(in: 1...90, using: &rng)
      let index = Int.random(in: 0..<cluster.gateways.count, using: &rng)
      let refusal = cluster.ask(index, key, limits, tokens: tokens)
      cluster.exchangeAll()
      let now = cluster.second
      if refusal == nil { admitted.append((now, tokens)) }
      let day = admitted.filter { $0.second > now - 86_400 }
      #expect(day.count <= limits.requestsPerDay ?? 0)
      #expect(day.reduce(0) { $0 + $1.tokens } <= limits.tokensPerDay ?? 0)
      guard let refusal else { continue }
      refused += 1
      // Use counts until its whole hour has left the day.
      let counted = admitted.filter { $0.second > now - 86_400 - 3_600 }
      switch refusal.limit {
      case .requestsPerDay: #expect(counted.count >= limits.requestsPerDay ?? 0)
      default: #expect(counted.reduce(tokens) { $0 + $1.tokens } > limits.tokensPerDay ?? 0)
      }
    }
    #expect(admitted.count > 15 && refused > 15)
  }

  @Test(
    "the registry knows all use after reports and answers were lost, and after restarts",
    arguments: 0..<20 as Range<UInt64>)
  func losses(seed: UInt64) throws {
    var rng = SeededGenerator(seed: seed)
    let key = try Self.key(1)
    let limits = KeyLimits(requestsPerDay: 1_000_000, tokensPerDay: 1_000_000)
    var cluster = Cluster(gateways: 2)
    cluster.exchangeAll()
    var expected: [Int64: HourlyUse] = [:]
    var running: [(gateway: Int, hour: Int64, reservation: RateReservation)] = []
    for _ in 0..<200 {
      cluster.second += Int.random(in: 0...3_000, using: &rng)
      let hour = Int64(cluster.second / 3_600)
      if Int.random(in: 0..<20, using: &rng) == 0 {
        cluster.restartRegistry(rows: cluster.book.rows)
      }
      if running.isEmpty || Bool.random(using: &rng) {
        let index = Int.random(in: 0...1, using: &rng)
        guard
          case .admitted(let reservation) = cluster.gateways[index].windows.admit(
            key, limits: limits, tokens: 90, at: cluster.now)
        else {
          Issue.record("a request was refused")
          return
        }
        expected[hour, default: HourlyUse(hour: hour)].requests += 1
        expected[hour]?.tokens += 90
        running.append((index, hour, reservation))
      } else {
        let ended = running.remove(at: Int.random(in: running.indices, using: &rng))
        let tokens = Int.random(in: 0...90, using: &rng)
        cluster.gateways[ended.gateway].windows.finish(
          ended.reservation, tokens: tokens, at: cluster.now)
        expected[ended.hour]?.tokens -= 90 - tokens
      }
      cluster.exchangeOnce(
        Int.random(in: 0...1, using: &rng),
        losing: Loss.allCases[Int.random(in: 0..<3, using: &rng)])
    }
    cluster.exchangeAll()
    let hour = Int64(cluster.second / 3_600)
    let day = expected.values.filter { $0.hour > hour - Int64(DayUse.mostHours) }
    let table = cluster.book.answer(report(hour: hour), from: peer(99), at: hour)
    #expect(table.uses.flatMap(\.hours) == day.sorted { $0.hour < $1.hour })
  }

  @Test("a registry that lost its file learns the use of running gateways from them")
  func lostFile() throws {
    let key = try Self.key(1)
    let limits = KeyLimits(requestsPerDay: 10)
    var cluster = Cluster(gateways: 2)
    cluster.exchangeAll()
    for index in [0, 0, 1] {
      #expect(cluster.ask(index, key, limits, tokens: 1) == nil)
    }
    cluster.exchangeAll()
    cluster.restartRegistry(rows: [])
    cluster.join()
    cluster.exchangeAll()
    var admitted = 0
    for _ in 0..<20 {
      if cluster.ask(2, key, limits, tokens: 1) == nil { admitted += 1 }
      cluster.exchangeAll()
    }
    #expect(admitted == 7)
  }
}
