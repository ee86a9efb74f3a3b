import ClusterModel
import ClusterTesting
import RegistryCore
import Testing

@Suite("Prices of hosts and the order of their probes")
struct HostRowTests {
  private var rng = SeededGenerator(seed: 6)
  private var hosts = HostRegistry(epoch: 3, now: .zero)

  private static let report = ProbeReport(
    models: [ModelOffer(id: "m")], roundTrip: .milliseconds(4))
  private static let refusal = ProbeResult.failed(absent: true, reason: "connection refused")
  private static let timeout = ProbeResult.failed(absent: false, reason: "no answer within 2 s")

  /// Adds a host; its first probe is in progress.
  private mutating func add(_ url: String = "http://h:1") throws -> ProbeOrder {
    let (_, directives) = try hosts.add(HostDraft(url: url), now: .zero)
    return try #require(orders(directives).first)
  }

  private func orders(_ directives: [HostRegistry.Directive]) -> [ProbeOrder] {
    directives.compactMap { if case .probe(let order) = $0 { order } else { nil } }
  }

  /// The member that the registry names if it refuses the change. `nil` means that it does not.
  private static func refusedMember(of patch: HostPatch, _ hosts: HostRegistry) -> String? {
    var copy = hosts
    do throws(Failure) {
      _ = try copy.patch("h:1", patch)
      return nil
    } catch {
      return error.param
    }
  }

  @Test("a host has the prices of prompts and answers, or none")
  mutating func prices() throws {
    _ = try add()
    for (input, output, param) in [
      (.value(1), .unchanged, "price_output"), (.unchanged, .value(1), "price_input"),
      (.value(-1), .value(1), "price_input"),
      (.value(1), .value(HostPrice.highest + 1), "price_output"),
    ] as [(HostPatch.Change<Int64>, HostPatch.Change<Int64>, String)] {
      let patch = HostPatch(inputPrice: input, outputPrice: output)
      #expect(Self.refusedMember(of: patch, hosts) == param)
    }
    let both = HostPatch(inputPrice: .value(1), outputPrice: .value(2))
    #expect(try hosts.patch("h:1", both).host.price == HostPrice(input: 1, output: 2))
    // A change names only what changes, as `tutti apply` does.
    let one = HostPatch(outputPrice: .value(3))
    #expect(try hosts.patch("h:1", one).host.price == HostPrice(input: 1, output: 3))
    #expect(Self.refusedMember(of: HostPatch(inputPrice: .learned), hosts) == "price_input")
    #expect(try hosts.patch("h:1", HostPatch(tier: .fallback)).host.price?.output == 3)
    let none = HostPatch(inputPrice: .learned, outputPrice: .learned)
    #expect(try hosts.patch("h:1", none).host.price == nil)
  }

  @Test("hosts that do not answer do not delay the probes of ready ones")
  mutating func manyAway() throws {
    var limits = HostRegistry.Limits()
    limits.probesAtOnce = 4
    hosts = HostRegistry(epoch: 1, limits: limits, now: .zero)
    let ready = try add("http://ready:1")
    _ = hosts.probed(ready, .answered(Self.report), now: .zero, using: &rng)
    for port in 1...20 {
      for order in orders(
        try hosts.add(HostDraft(url: "http://away:\(port)"), now: .zero).directives)
      {
        _ = hosts.probed(order, Self.timeout, now: .zero, using: &rng)
      }
    }
    // All probes are due. The longest overdue hosts are away, but one place is kept free of them.
    let late = at(ms: 60_000)
    let underWay = orders(hosts.tick(now: late))
    #expect(underWay.map(\.host).first == ready.host)
    #expect(underWay.count == 4 && underWay.count { $0.host == ready.host } == 1)
    _ = hosts.probed(underWay[0], .answered(Self.report), now: late, using: &rng)
    #expect(orders(hosts.tick(now: at(ms: 61_000))) == [])
    let due = try #require(hosts.nextProbeTime)
    #expect(late < due, "hosts that are away wait for the end of a probe")
    #expect(orders(hosts.tick(now: due)).map(\.host) == [ready.host])
  }

  @Test("a probe that an admin asks for does not wait for other hosts that are away")
  mutating func forced() throws {
    var limits = HostRegistry.Limits()
    limits.probesAtOnce = 2
    hosts = HostRegistry(epoch: 1, limits: limits, now: .zero)
    for port in 1...5 {
      for order in orders(try hosts.add(HostDraft(url: "http://h:\(port)"), now: .zero).directives)
      {
        _ = hosts.probed(order, Self.refusal, now: .zero, using: &rng)
      }
    }
    #expect(orders(hosts.tick(now: at(ms: 60_000))).count == 1)
    let registry = hosts
    let last = registry.table.hosts.last { registry.probeTime(of: $0.id) != nil }
    let waiting = try #require(last)
    let asked = try hosts.probe(waiting.id, now: at(ms: 60_000))
    #expect(orders(asked.directives).map(\.host) == [waiting.id])
    #expect(hosts.probeTime(of: waiting.id) == nil)
  }
}
