import AnswerTesting
import ClusterModel
import InferenceCore
import Testing

/// Tests hops in which the next host's output does not align with the client's text.
///
/// No wrong text may be passed on, and the answer must not be lost while another host can still
/// resume it.
@Suite("Hosts whose text does not join the answer")
struct HopRefusalTests {
  private static let begun = [
    "The", " capital", " of", " France", " is", " Paris", ",", " which", " lies", " on", " the",
    " ri",
  ]
  private static let said = "The capital of France is Paris, which lies on the"
  /// Text that cannot continue the sentence in which the client's text ends.
  private static let other = "Paris is the capital of France, a city on the Seine."

  private func cut(hosts: Int, way: ResumeWay = .trailingAssistant, stream: Bool = true) -> HopRun {
    var hop = HopRun(stream: stream, hosts: hosts, way: way)
    for piece in Self.begun { hop.say(piece) }
    hop.breakOff()
    return hop
  }

  private func isAskedInWords(_ hop: HopRun) -> Bool {
    let last = (hop.sent?["messages"] as? [HopRun.Object])?.last
    return last?["role"] as? String == "user"
      && (last?["content"] as? String)?.contains("was cut off") == true
  }

  @Test("a host alone that begins anew is asked in words to go on, and does")
  func alone() {
    var hop = cut(hosts: 1)
    #expect(hop.asked.count == 2 && !isAskedInWords(hop))
    hop.say(Self.other, finish: "stop")
    #expect(hop.asked.count == 3 && isAskedInWords(hop))
    hop.say("which lies on the river Seine.", finish: "stop")
    hop.end()
    #expect(hop.failure == nil && hop.received.content == Self.said + " river Seine.")
    #expect(hop.summary?.attempts.map(\.outcome.name) == ["lost", "bad_joint", "answered"])
  }

  @Test("each host is asked once in words, then no host", arguments: 1...3)
  func bounded(_ hosts: Int) {
    var hop = cut(hosts: hosts)
    var ways: [HostID: [ResumeWay]] = [:]
    while hop.failure == nil, hop.asked.count < 20 {
      guard let last = hop.asked.last else { break }
      ways[last.candidate.host.id, default: []].append(
        isAskedInWords(hop) ? .instruct : .trailingAssistant)
      hop.say(Self.other, finish: "stop")
    }
    #expect(hop.failure?.code == .upstreamFailed)
    #expect(hop.received.content == Self.said && hop.received.finish == nil)
    #expect(hop.run.attempts.count <= InferenceLimits().failures)
    for (host, ways) in ways {
      #expect(ways.count <= 2 && ways.count { $0 == .instruct } <= 1, "\(host): \(ways)")
    }
    #expect(
      hosts > 2 || ways.values.allSatisfy { $0 == [.trailingAssistant, .instruct] }, "\(ways)")
  }

  @Test("a host that was asked in words may do better a second time")
  func again() {
    var hop = cut(hosts: 2, way: .instruct)
    hop.say(Self.other, finish: "stop")
    #expect(hop.asked.count == 3)
    hop.breakOff()
    #expect(hop.asked.count == 4 && Set(hop.asked[2...].map(\.candidate.host.id)).count == 2)
    hop.say("which lies on the river Seine.", finish: "stop")
    hop.end()
    #expect(hop.received.content == Self.said + " river Seine.")
  }

  @Test("a host alone is asked from the start for a client that does not stream")
  func bodyOfOneHost() throws {
    var hop = cut(hosts: 1, stream: false)
    hop.say(Self.other, finish: "stop")
    #expect(hop.asked.count == 3 && hop.asked.last?.resume == nil)
    hop.say(Self.other, finish: "stop")
    hop.end()
    #expect(hop.bodyChoice.content == Self.other)
  }

  @Test("a client that does not stream has seen nothing: the answer begins anew")
  func body() throws {
    var hop = cut(hosts: 3, stream: false)
    #expect(hop.asked.last?.resume?.prefix.isEmpty == false)
    hop.say(Self.other, finish: "stop")
    #expect(hop.asked.count == 3 && hop.asked.last?.resume == nil)
    for word in ["Paris", " is", " the", " capital."] { hop.say(word) }
    hop.say("", finish: "stop", usage: (9, 5))
    hop.end()
    #expect(hop.bodyChoice.content == "Paris is the capital." && hop.bodyChoice.finish == "stop")
    #expect(hop.usage == [9, 5, 14])
    #expect(hop.summary?.attempts.count == 3)
  }
}
