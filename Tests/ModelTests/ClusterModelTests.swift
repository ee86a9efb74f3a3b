import ClusterModel
import Testing

@Suite("The cluster's vocabulary")
struct ClusterModelTests {
  @Test("a trace id is 32 hexadecimal digits both ways")
  func traceID() {
    let id = TraceID(high: 1, low: 0xABC)
    #expect(id.description == "00000000000000010000000000000abc")
    #expect(TraceID(id.description) == id)
    #expect(TraceID("0") == nil)
    #expect(TraceID(String(repeating: "g", count: 32)) == nil)
  }

  @Test("durations become whole milliseconds, clamped to the wire")
  func milliseconds() {
    #expect(Duration.milliseconds(1_500).wholeMilliseconds == 1_500)
    #expect(Duration.microseconds(1_999).wholeMilliseconds == 1)
    #expect(Duration.seconds(-1).wireMilliseconds == 0)
    #expect(Duration.seconds(10_000_000).wireMilliseconds == .max)
  }

  @Test("services have the same name both ways")
  func serviceNames() {
    for service in ServiceName.all { #expect(ServiceName(service.description) == service) }
    #expect(ServiceName("agent-nobody") == .other("agent-nobody"))
  }

  @Test("stricter data policies are greater")
  func policies() {
    #expect(DataPolicy.any < .trusted)
    #expect(DataPolicy.trusted < .local)
  }

  @Test("ready models are listed once, sorted, of ready hosts only")
  func readyModels() {
    let offer = { (names: [String]) in names.map { ModelOffer(id: ModelID($0)) } }
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: [
        Host(id: "a", url: "http://a", state: .ready, models: offer(["m2", "m1"])),
        Host(id: "b", url: "http://b", state: .ready, models: offer(["m1"])),
        Host(id: "c", url: "http://c", state: .suspended, models: offer(["m3"])),
      ])
    #expect(table.readyModels == ["m1", "m2"])
  }

  @Test("the generator's sequence is the published one")
  func splitMix() {
    var rng = SplitMix64(seed: 1_234_567)
    #expect(rng.next() == 6_457_827_717_110_365_317)
    #expect(rng.next() == 3_203_168_211_198_807_973)
  }

  @Test("another peer takes over from one that is gone or leaving, not from a busy one")
  func lostPeers() {
    for code in [Failure.Code.peerLost, .noPeer, .streamGap, .shuttingDown] {
      #expect(code.isLostPeer, "\(code)")
    }
    for code in [Failure.Code.overloaded, .outboxFull, .deadlineExceeded, .cancelled] {
      #expect(!code.isLostPeer, "\(code)")
    }
  }

  @Test("hops are read back, blanks ignored")
  func hops() {
    #expect(HopHeader.parse("a, b,,c") == ["a", "b", "c"])
    #expect(HopHeader.parse(HopHeader.value(["x", "y"])) == ["x", "y"])
    #expect(HopHeader.parse("").isEmpty)
  }
}
