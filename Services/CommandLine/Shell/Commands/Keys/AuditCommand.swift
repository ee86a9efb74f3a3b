import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Show who changed keys and other records, the latest change first.",
    discussion: """
        tutti audit
        tutti audit --kind key
        tutti audit --kind key --id ID --json
        tutti audit --author tutti-ID --action remove --from 2027-01-01
        tutti audit --before 250               # the changes before that position

      The end of a key is a change of its state, not a removal.
      """)

  private static let kinds = [
    "key", "host", "organisation", "team", "setting", "model", "price",
  ]

  private static let actions = AuditSelection.Action.allCases.map(\.rawValue)
  /// Maximum requests of one command. With filters, a page may have few changes or none.
  private static let maximumPages = 1_000

  @OptionGroup var cluster: ClusterOptions
  @Option(
    help: ArgumentHelp(
      "Only changes of this kind of record: \(kinds.joined(separator: ", ")).", valueName: "kind"),
    completion: .list(kinds))
  var kind: String?
  @Option(help: "Only changes of the record with this id.") var id: String?
  @Option(help: "Only changes by this author: admin-token, or a key as tutti-ID.")
  var author: String?
  @Option(
    help: ArgumentHelp(
      "Only changes with this effect: \(actions.joined(separator: ", ")).", valueName: "action"),
    completion: .list(actions))
  var action: String?
  @Option(help: "Only changes at or after this date in UTC.") var from: String?
  @Option(help: "Only changes before this date in UTC.") var to: String?
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
    let selected = try selection.query()
    let connection = try await AdminConnection(try cluster.client())
    var rows: [AuditRow] = []
    var count = 0
    var next = before
    for _ in 0..<Self.maximumPages {
      let place = next.map { "before=\($0)" } ?? ""
      let query = ["limit=\(limit - count)", selected, place].filter { !$0.isEmpty }
      let answer = try await connection.success(
        .GET, "/admin/v1/audit?" + query.joined(separator: "&"))
      if json {
        try Terminal.jsonLines(ofList: answer.body)
      } else {
        rows += try answer.decoded(as: Page.self, from: "the registry").data
      }
      let list = RecordValue(json: Array(answer.body))
      count += list?["data"]?.elements?.count ?? 0
      next = list?["next"]?.integer.map { Int64($0) }
      guard next != nil, count < limit else { break }
    }
    if !json {
      for line in AuditRow.table(rows).lines { Terminal.line(line) }
    }
    if count == 0 {
      // A newer registry may record other kinds, so an unknown one is not refused.
      let isKnown = kind.map(Self.kinds.contains) ?? true
      Terminal.progress(
        "no such change is recorded"
          + (isKnown ? "" : "; kinds are \(Self.kinds.joined(separator: ", "))"))
    }
    if let next { Terminal.progress("earlier changes: add --before \(next)") }
  }

  private var selection: AuditSelection {
    var selection = AuditSelection()
    selection.kind = kind
    selection.id = id
    selection.author = author
    selection.action = action
    selection.from = from
    selection.until = to
    return selection
  }
}
