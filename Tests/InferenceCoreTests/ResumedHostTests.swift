import ClusterModel
import InferenceCore
import Testing

@Suite("The host that resumes an answer")
struct ResumedHostTests {
  @Test("the reader gets the host that the next chunks are from")
  func resumed() throws {
    var hop = HopRun()
    for word in ["One", " two", " th"] { hop.say(word) }
    hop.breakOff()
    for word in [" three", " four"] { hop.say(word) }
    hop.say("", finish: "stop")
    hop.end()
    var host = HostID("")
    var texts: [HostID: String] = [:]
    for directive in hop.directives {
      switch directive {
      case .open(let opening), .deliver(.resumed(let opening)): host = opening.host
      case .deliver(.chunk(let chunk)): texts[host, default: ""] += chunk.facts.text
      default: break
      }
    }
    #expect(texts.values.sorted() == [" three four", "One two"])
    #expect(texts.count == 2 && texts[HostID("")] == nil)
  }
}
