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
    struct Page: Decodable { let data: [AuditRow] }
    let answer = try await cluster.client().audit(
      kind: kind, id: id, before: before, limit: limit)
    let list = RecordValue(json: Array(answer.body))
    let changes = list?["data"]?.elements ?? []
    if json {
      try Terminal.jsonLines(ofList: answer.body)
    } else {
      let page = try answer.decoded(as: Page.self, from: "the registry")
      for line in AuditRow.table(page.data).lines { Terminal.line(line) }
    }
    if changes.isEmpty {
      // A newer registry may record other kinds, so an unknown one is not refused.
      let isKnown = kind.map(Self.kinds.contains) ?? true
      Terminal.progress(
        "no such change is recorded"
          + (isKnown ? "" : "; kinds are \(Self.kinds.joined(separator: ", "))"))
    }
    if list?["has_more"] == .boolean(true), let last = changes.last?["position"]?.integer {
      Terminal.progress("earlier changes: add --before \(last)")
    }
  }
}
