import ClusterModel
import CommandLineCore
import Foundation
import Testing

@Suite("The lines of a start")
struct StartLinesTests {
  private static func server(_ name: String, _ model: String, bytes: Int64) -> StartLines.Server {
    StartLines.Server(name: name, model: model, bytes: bytes, threads: 1)
  }

  @Test("each model that is loaded is named once, with its size and its servers")
  func loading() {
    let lines = StartLines(
      servers: [
        Self.server("embedded-1", "small", bytes: 98_362_432),
        Self.server("embedded-2", "large", bytes: 4_683_074_240),
        Self.server("embedded-3", "small", bytes: 98_362_432),
      ], services: [])
    #expect(
      lines.loading == [
        "loading small (98 MB) into embedded-1 and embedded-3, 1 thread each",
        "loading large (4.6 GB) into embedded-2, 1 thread",
      ])
    #expect(StartLines(servers: [], services: ["gateway"]).loading.isEmpty)
  }

  @Test("the services have one line, each model server has one, and a restart is reported")
  func ready() {
    var lines = StartLines(
      servers: [Self.server("embedded-1", "small", bytes: 1)], services: ["gateway", "registry"])
    func at(_ milliseconds: Int64) -> Instant {
      Instant(sinceStart: .milliseconds(milliseconds))
    }
    #expect(lines.ready("registry", .init(), now: at(400)) == nil)
    #expect(lines.ready("registry", .init(), now: at(500)) == "registry is ready again")
    #expect(lines.ready("gateway", .init(), now: at(949)) == "services ready after 0.9 s")
    #expect(
      lines.ready("embedded-1", .init(loaded: at(2_100), answered: at(6_049)), now: at(7_000))
        == "embedded-1: model loaded after 2.1 s, first answer after 6.0 s")
    #expect(lines.ready("gateway", .init(), now: at(90_000)) == "gateway is ready again")
  }

  @Test("a slow start names the children that are awaited")
  func waiting() {
    let now = Instant(sinceStart: .seconds(15))
    #expect(StartLines.waiting(for: [], now: now) == nil)
    #expect(
      StartLines.waiting(for: ["registry", "embedded-1", "gateway"], now: now)
        == "still waiting for registry, embedded-1 and gateway after 15.0 s")
  }

  @Test(
    "the table says of each host whether it answers, and why not",
    arguments: [
      (#""state":"ready","models":[{"id":"a"},{"id":"b"}]"#, "gpu is ready: a, b"),
      (
        #""state":"ready","models":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"},{"id":"e"}]"#,
        "gpu is ready: a, b, c, d and 1 more"
      ),
      (#""state":"ready","models":[]"#, "gpu is ready"),
      (
        #""state":"unreachable","reason":"nothing listens there""#,
        "gpu is not answering: nothing listens there"
      ),
      (#""state":"unreachable","reason":"""#, "gpu is not answering"),
      (#""state":"unknown""#, "gpu was not probed yet"),
      (#""state":"suspended""#, "gpu is suspended"),
      (#""state":"of-a-newer-registry""#, "gpu is of-a-newer-registry"),
    ])
  func hostState(members: String, text: String) throws {
    let json = #"{"id":"gpu","url":"http://127.0.0.1:9",\#(members)}"#
    let host = try JSONDecoder().decode(HostDetails.self, from: Data(json.utf8))
    #expect(host.stateText == text)
  }

  @Test("the output of a detached start is split into messages and the table, at any boundary")
  func detachedOutput() {
    let text = """
      tutti: loading small (98 MB) into embedded-1, 1 thread
        a line of a log
      ready     in 3280 ms
      gateway   http://127.0.0.1:8080/v1
      tutti: planner is ready again
      access    open: no key exists
      tutti: after the table

      """
    let bytes = Array(text.utf8)
    for size in [1, 7, bytes.count] {
      var output = DetachedOutput()
      var lines: [DetachedOutput.Line] = []
      for start in stride(from: 0, to: bytes.count, by: size) {
        #expect(!output.isReady || lines.last?.text.hasPrefix("access") == true)
        lines += output.lines(of: bytes[start..<min(start + size, bytes.count)])
      }
      #expect(output.isReady)
      #expect(lines.map(\.text) == text.split(separator: "\n").dropLast().map(String.init))
      #expect(lines.map(\.isAnswer) == [false, false, true, true, false, true])
    }
  }

  @Test("a start that ends without its table is not ready")
  func noTable() {
    var output = DetachedOutput()
    let lines = output.lines(of: Array("tutti: port 8080 is taken\naccess denied\n".utf8))
    #expect(lines.map(\.isAnswer) == [false, false])
    #expect(!output.isReady)
  }
}
