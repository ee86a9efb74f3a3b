import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct TraceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Show what was done for one request, as a tree of spans.",
    discussion: """
      The id is in the header x-tutti-trace of every answer, and below the table of
      `tutti ask --trace`.

        tutti trace 4bf92f3577b34da6a3ce929d0e0e4736
      """)

  @OptionGroup var cluster: ClusterOptions
  @Flag(help: "Print the monitor's answer as it is.") var json = false
  @Argument(help: "32 hexadecimal digits.") var id: String

  func validate() throws {
    guard TraceID(id) != nil else {
      throw ValidationError("“\(id)” is not a trace id: it has 32 hexadecimal digits")
    }
  }

  struct Trace: Decodable {
    let spans: [SpanRecord]
  }

  func run() async throws {
    let client = try cluster.client()
    let url = client.address.monitor + "/traces/" + id
    let answer = try await client.success(.GET, url)
    if json {
      Terminal.line(String(decoding: answer.body, as: UTF8.self))
      return
    }
    let tree = SpanTree(try answer.decoded(as: Trace.self, from: url).spans)
    var table = TextTable([
      ("span", .left), ("service", .left), ("at ms", .right), ("ms", .right), ("", .left),
    ])
    for line in tree.lines {
      let facts = line.facts.map { "\($0.key)=\($0.value)" }
      table.append([
        String(repeating: "  ", count: line.depth) + line.span.name, line.span.service,
        milliseconds(line.offsetMicroseconds), milliseconds(line.span.durationMicroseconds),
        ((line.span.failed ? ["failed"] : []) + facts).joined(separator: " "),
      ])
      for attempt in line.attempts {
        table.append([
          String(repeating: "  ", count: line.depth + 1) + attempt.key, "", "", "", attempt.value,
        ])
      }
    }
    for line in table.lines { Terminal.line(line) }
  }

  private func milliseconds(_ microseconds: UInt64) -> String {
    let tenths = microseconds / 100
    return "\(tenths / 10).\(tenths % 10)"
  }
}
