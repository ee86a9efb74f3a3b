import AnswerTesting
import ClusterModel
import Foundation
import InferenceCore
import Testing

/// A host whose new words cannot be located is asked to repeat words that the client has.
@Suite("Hosts that are asked to repeat what the client has")
struct RepeatedWordsTests {
  /// JSON documents with strings that contain JSON.
  private static let nested: [CorpusAnswer] = (0..<3).map { number in
    let rows = (1...6).map { row in
      let inner =
        #"{\"n\": \#(row).5, \"note\": \"Sent on day \#(row). Paid on day \#(row).5.\", \"n2\": \#(row).5}"#
      return
        #"{"id": \#(row).25, "sum": \#(row * number).25, "doc": "\#(inner)", "rows": [[\#(row).5, \#(row).5], [0.5]]}"#
    }
    return CorpusAnswer(
      name: "nested document \(number)",
      content: "{\"list\": [" + rows.joined(separator: number == 0 ? "," : ",\n  ")
        + "], \"end\": 1.5}")
  }

  private static let repetitiveJSON = AnswerCorpus.repetitive.filter(\.isJSON)

  @Test(
    "a document never becomes another one, wherever it is cut",
    arguments: [ResumeWay.continueFinalMessage, .instruct])
  func documents(_ way: ResumeWay) throws {
    for (number, answers) in [Self.nested, Self.repetitiveJSON].enumerated() {
      let counts = try EveryCut(way: way, near: 29, far: 29, phase: number)
        .run(ResumingPersonality.allCases, over: answers)
      for (habit, count) in counts {
        #expect(count.faults.isEmpty, "\(habit): \(count.faults.prefix(5).joined(separator: "\n"))")
        #expect(count.ambiguous == 0, "\(habit): \(count)")
        #expect(
          count.rejected * 100 <= count.cuts,
          "\(habit): \(count) \(count.rejections.prefix(5).joined(separator: "\n"))")
      }
    }
  }

  @Test(
    "a host that repeats its last dozen characters loses hardly any answer",
    arguments: zip([ResumeWay.continueFinalMessage, .instruct], [0, 3]))
  func dozen(_ way: ResumeWay, _ phase: Int) throws {
    let count = try EveryCut(way: way, near: 53, far: 1_999, phase: phase).run(.repeatsDozen)
    #expect(count.cuts > 100 && count.faults.isEmpty, "\(count.faults.prefix(5))")
    #expect(count.rejected * 100 <= count.cuts, "\(count) \(count.rejections.prefix(5))")
    // At least one resumption was unclear and asked for repetition.
    #expect(count.askedAgain > 0)
  }

  private static let laughter = "He laughed, and those who sat with him did: ha ha ha"

  private func cut(way: ResumeWay = .trailingAssistant, hosts: Int = 2) -> HopRun {
    var hop = HopRun(hosts: hosts, way: way)
    for piece in ["He laughed, and those", " who sat with him did:", " ha", " ha", " ha", " h"] {
      hop.say(piece)
    }
    hop.breakOff()
    return hop
  }

  @Test("a host that is given the answer comes by the words again, and they are dropped")
  func earlierPlace() throws {
    var hop = cut(hosts: 1)
    let first = try #require(hop.asked.last?.resume)
    #expect(first.prefix == Array(Self.laughter.utf8) && first.anchor.isEmpty)
    hop.say("ha ha ha ha ha ha.", finish: "stop")
    #expect(hop.run.attempts.last?.failure?.isUnclear == true)
    #expect(hop.received.content == Self.laughter)
    // The text is short, so it is requested again from its start.
    let again = try #require(hop.asked.last?.resume)
    #expect(again.prefix.isEmpty)
    hop.say(Self.laughter + " ha ha ha.", finish: "stop")
    hop.end()
    #expect(hop.failure == nil && hop.received.content == Self.laughter + " ha ha ha.")
  }

  private static let long =
    "The first of them was tall and wore a coat of dark green cloth with brass buttons on it. "
    + "The second said that the harbour had been closed since noon, and then he said: no, no, no"

  @Test("in words a host is shown what it has to repeat")
  func inWords() throws {
    var hop = HopRun(hosts: 1, way: .instruct)
    hop.say(String(Self.long.dropLast(12)))
    for piece in [": no,", " no,", " no", ", n"] { hop.say(piece) }
    hop.breakOff()
    hop.say("no, no, no, no.", finish: "stop")
    #expect(hop.run.attempts.last?.failure?.isUnclear == true, "\(hop.received.content)")
    // The second request has a shorter prefix, so that the host repeats the words by itself.
    #expect(hop.asked.last?.resume?.anchor.isEmpty == true)
    hop.say(" And then he left.", finish: "stop")
    let resume = try #require(hop.asked.last?.resume)
    let anchor = String(decoding: resume.anchor, as: UTF8.self)
    let has = hop.received.content
    #expect(
      !resume.prefix.isEmpty && has == String(decoding: resume.prefix, as: UTF8.self) + anchor)
    #expect(anchor.utf8.count >= 40)
    let messages = hop.sent?["messages"] as? [HopRun.Object] ?? []
    #expect(messages.dropLast().last?["content"] as? String == has)
    let told = messages.last?["content"] as? String ?? ""
    #expect(told.contains("<<<\(anchor.drop { $0 == " " })>>>"), "\(told)")
    hop.say("Sure, here it is:\n\n" + anchor.drop { $0 == " " } + ", no.", finish: "stop")
    hop.end()
    #expect(hop.failure == nil && hop.received.content == has + ", no.")
  }

  @Test("a host that gets less of the answer repeats the words itself, after any announcement")
  func lead() throws {
    for lead in ["", "Voici la suite :\n\n", "dark green cloth with brass"] {
      var hop = HopRun(hosts: 1)
      hop.say(String(Self.long.dropLast(12)))
      for piece in [": no,", " no,", " no", ", n"] { hop.say(piece) }
      hop.breakOff()
      hop.say("no, no, no, no.", finish: "stop")
      let has = hop.received.content
      let resume = try #require(hop.asked.last?.resume)
      #expect(resume.anchor.isEmpty && resume.prefix.count + 40 < has.utf8.count)
      var rest = String(decoding: has.utf8.dropFirst(resume.prefix.count), as: UTF8.self)
      if lead.hasPrefix("dark") {
        // The host starts at an earlier word.
        let from = try #require(has.range(of: lead))
        rest = String(has[from.lowerBound...])
      } else {
        rest = lead + rest
      }
      hop.say(rest + ", no.", finish: "stop")
      hop.end()
      #expect(hop.failure == nil && hop.received.content == has + ", no.", "\(lead)")
    }
  }

  @Test("a host that does not repeat the words is refused, and asked in the other way")
  func refused() throws {
    var hop = HopRun(hosts: 1)
    hop.say(String(Self.long.dropLast(12)))
    for piece in [": no,", " no,", " no", ", n"] { hop.say(piece) }
    hop.breakOff()
    let has = hop.received.content
    hop.say("no, no, no, no.", finish: "stop")
    hop.say(" And then he left.", finish: "stop")
    #expect(hop.received.content == has)
    #expect(hop.run.attempts.last?.failure?.isUnclear == true)
    let resume = try #require(hop.asked.last?.resume)
    #expect(hop.asked.last?.candidate.host.resume == .instruct && !resume.anchor.isEmpty)
    hop.say(String(decoding: resume.anchor, as: UTF8.self) + ", no.", finish: "stop")
    hop.end()
    #expect(hop.received.content == has + ", no.")
  }
}
