import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Show who changed keys and other records, the latest change first.",
    discussion: """
        tutti audit
        tutti audit --kind key
        tutti audit --kind key --id ID --json
        tutti audit --before 250               # the changes before that position
      """)

  private static let kinds = [
    "key", "host", "organisation", "team", "setting", "model", "price",
  ]

  @OptionGroup var cluster: ClusterOptions
  @Option(
    help: ArgumentHelp(
      "Only changes of this kind of record: \(kinds.joined(separator: ", ")).", valueName: "kind"),
    completion: .list(kinds))
  var kind: String?
  @Option(help: "Only changes of the record with this id.") var id: String?
  @Option(help: "Only changes before this position, to continue a list.") var before: Int64?
  @Option(help: "Maximum changes, 1 to 1000.") var limit = 100
  @Flag(help: "Print one JSON object a line, one for each change.") var json = false

  func validate() throws {
    guard (1...1_000).contains(limit) else {
      throw ValidationError("--limit: \(limit) is not from 1 to 1000")
    }
    if let before, before < 1 { throw ValidationError("--before: \(before) is less than 1") }
  }

  func run() async throws {
    struct Page: Decodable {
      let data: [AuditRow]
      let hasMore: Bool?

      enum CodingKeys: String, CodingKey {
        case data
        case hasMore = "has_more"
      }
    }
    let answer = try await cluster.client().audit(
      kind: kind, id: id, before: before, limit: limit)
    let page = try answer.decoded(as: Page.self, from: "the registry")
    if json {
      try Terminal.jsonLines(ofList: answer.body)
    } else {
      for line in AuditRow.table(page.data).lines { Terminal.line(line) }
    }
    if page.data.isEmpty {
      // A newer registry may record other kinds, so an unknown one is not refused.
      let isKnown = kind.map(Self.kinds.contains) ?? true
      Terminal.progress(
        "no such change is recorded"
          + (isKnown ? "" : "; kinds are \(Self.kinds.joined(separator: ", "))"))
    }
    if page.hasMore == true, let last = page.data.last {
      Terminal.progress("earlier changes: add --before \(last.position)")
    }
  }
}
