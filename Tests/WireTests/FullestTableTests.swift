import BusCore
import ClusterModel
import ClusterTesting
import Limits
import Money
import RegistryCore
import Testing
import Wire

/// Each table is published in one frame, so a table that does not fit never arrives.
@Suite("The fullest tables fit into a frame")
struct FullestTableTests {
  private func bytes(_ body: Body) throws -> Int {
    try Envelope(
      messageID: .max, shape: .publish, sender: PeerID(name: "registry", incarnation: .max),
      sequence: .max, body: body
    ).encoded().count
  }

  private static let room = (1 << 20) - 1_024

  @Test("hosts with the longest lists, names and texts")
  func hosts() throws {
    var rng = SeededGenerator(seed: 1)
    var registry = HostRegistry(epoch: .max, now: .zero)
    var orders: [ProbeOrder] = []
    var number = 0
    while number < 1_000 {
      let draft = HostDraft(
        url: "https://host-\(number).example.org:12345/\(String(repeating: "p", count: 20))",
        id: HostID("host-\(number)"), slots: 65_536,
        price: HostPrice(input: .max, output: .max))
      guard let added = try? registry.add(draft, now: .zero) else { break }
      for case .probe(let order) in added.directives { orders.append(order) }
      number += 1
    }
    #expect(number == 1_000)
    // Names have random lengths. The version is one letter with many marks, a single `Character`.
    let marks = "a" + String(repeating: "\u{301}", count: 100_000)
    while let order = orders.popLast() {
      let models = (0..<100).map { index in
        ModelOffer(
          id: ModelID(
            "\(order.host)-\(index)-"
              + String(repeating: "m", count: Int.random(in: 0...240, using: &rng))),
          contextTokens: .max)
      }
      let report = ProbeReport(models: models, slots: .max, version: marks, roundTrip: .seconds(9))
      for case .probe(let next) in registry.probed(
        order, .answered(report), now: .zero, using: &rng)
      {
        orders.append(next)
      }
    }
    // Aliases take no more than the room of the models that they push out.
    let records = (0..<100).map { index in
      var record = ModelRecord(
        ModelID("alias-\(index)-" + String(repeating: "a", count: 200)))
      record.standsFor = registry.table.hosts[index].models.prefix(16).map(\.id)
      record.isHidden = true
      record.isRanked = true
      record.kind = .embeddings
      return record
    }
    _ = registry.setModelRules(ModelRules(records))
    let table = registry.table
    #expect(table.hosts.contains { $0.models.contains { $0.upstream != nil } })
    #expect(table.hosts.count == 1_000 && table.hosts.allSatisfy { $0.state == .ready })
    // No host loses its models because other hosts list many.
    #expect(table.hosts.allSatisfy { !$0.models.isEmpty })
    #expect(table.hosts.allSatisfy { $0.version?.utf8.count ?? 0 <= Limits.hostVersionBytes.value })
    let size = try bytes(.hostTable(table))
    #expect(size <= Self.room, "\(size)")
  }

  @Test("hosts with as many and as long tags as an admin may give them")
  func taggedHosts() throws {
    var registry = HostRegistry(epoch: .max, now: .zero)
    let name = String(repeating: "t", count: Limits.tagBytes.value - 3)
    let tags = (0..<Limits.hostTags.value).map { name + "\(100 + $0)" }
    var number = 0
    while number < 1_000 {
      let draft = HostDraft(
        url: "https://host-\(number).example.org:12345", tags: tags, region: tags[0])
      guard (try? registry.add(draft, now: .zero)) != nil else { break }
      number += 1
    }
    #expect((200..<1_000).contains(number), "\(number)")
    let size = try bytes(.hostTable(registry.table))
    #expect((300_000...Self.room).contains(size), "\(size)")
  }

  @Test("processes with the longest names and addresses")
  func peers() throws {
    let own = Peer(
      id: PeerID(name: "registry", incarnation: 1), service: .registry, mailbox: "ipc:///r",
      ttl: .seconds(5))
    var leases = PeerLeases(epoch: .max, own: own)
    let address = String(repeating: "a", count: Limits.busAddressBytes.value - 3)
    let label = String(repeating: "v", count: Limits.peerLabelBytes.value)
    for number in 1..<PeerLeases.capacity {
      let name = String(repeating: "n", count: label.count - 3) + "\(100 + number)"
      _ = try leases.hello(
        Peer(
          id: PeerID(name: name, incarnation: .max), service: .other(label),
          mailbox: address + "\(100 + number)",
          key: [UInt8](repeating: 7, count: 32), version: label, ttl: .seconds(300)), now: .zero)
    }
    #expect(leases.count == PeerLeases.capacity)
    let size = try bytes(.peerTable(leases.table))
    #expect(size <= Self.room, "\(size)")
  }

  @Test("prices of models with the longest names")
  func prices() throws {
    let price = try TokenPrice(
      input: TokenPrice.highest, cachedInput: TokenPrice.highest, output: TokenPrice.highest)
    let rows = (0..<Limits.publishedPrices.value).map { number in
      PriceRow(
        model: ModelID(String(repeating: "m", count: 252) + "\(1_000 + number)"),
        effectiveFrom: .min, price: price)
    }
    let table = try PriceTable(epoch: .max, revision: .max, unknown: .refuse, rows: rows)
    let size = try bytes(.priceTable(table))
    #expect(size <= Self.room, "\(size)")
  }

  @Test("skills and gains of models with the longest names")
  func skills() throws {
    let most = SkillTable.maximumCount
    let name = String(repeating: "m", count: 252)
    let models = (0..<Limits.skillRows.value).map { ModelID(name + "\(1_000 + $0)") }
    let table = SkillTable(
      epoch: .max, revision: .max,
      skills: models.map {
        ModelSkill(
          model: $0, kind: .documents, draftedMilli: most, chosenMilli: most, agreedMilli: most,
          repairedMilli: most, rejectedMilli: most)
      },
      gains: models.map {
        PatternGain(
          pattern: PatternName.decompose.rawValue, model: $0, kind: .documents,
          choicesMilli: most, gainSum: -most, gainSquares: most, extraTokens: most)
      })
    let size = try bytes(.skillTable(table))
    #expect(size <= Self.room, "\(size)")
    let envelope = Envelope(
      messageID: 1, shape: .publish, sender: PeerID(name: "registry", incarnation: 1),
      sequence: 0, body: .skillTable(table))
    #expect(try Envelope(decoding: envelope.encoded()) == envelope)
  }

  @Test("a peer that calls itself by more than a label is refused")
  func refused() {
    let own = Peer(
      id: PeerID(name: "registry", incarnation: 1), service: .registry, mailbox: "ipc:///r",
      ttl: .seconds(5))
    var leases = PeerLeases(epoch: 1, own: own)
    let long = "a" + String(repeating: "\u{301}", count: 100_000)
    func refuses(_ service: ServiceName, _ version: String) -> Bool {
      (try? leases.hello(
        Peer(
          id: PeerID(name: "p", incarnation: 1), service: service, mailbox: "ipc:///p",
          version: version, ttl: .seconds(5)), now: .zero)) == nil
    }
    #expect(refuses(.gateway, long) && refuses(.other(long), "1") && !refuses(.gateway, "1"))
  }

  @Test("the spending of a key that used the longest names on every day")
  func spending() throws {
    let name = String(repeating: "m", count: 252)
    let rows = (0..<Int64(Limits.usageDays.value)).flatMap { day in
      (0...Limits.usageModels.value).map { number in
        DailyUsage.Row(
          day: day, model: "\(name)\(number)", requests: .max, usage: .zero,
          cost: MicroCredits(.max))
      }
    }
    let budget = SpendingReport.Budget(
      owner: .organisation, id: name, window: BudgetWindow(.calendar, .quarter),
      amount: MicroCredits(.max), spent: MicroCredits(.max), resetsAt: .max)
    let report = SpendingReport(
      key: AccountID(name),
      budgets: Array(repeating: budget, count: 3 * Limits.accountBudgets.value), balance: nil,
      rows: rows, firstDay: .max)
    let size = try bytes(.spendingReport(report))
    #expect(size <= Self.room, "\(size)")
    let envelope = Envelope(
      messageID: 1, shape: .reply, sender: PeerID(name: "registry", incarnation: 1),
      sequence: 0, body: .spendingReport(report))
    #expect(try Envelope(decoding: envelope.encoded()) == envelope)
  }
}
