import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write the cluster's records as a file for `tutti apply`.",
    discussion: """
        tutti export -o cluster.yaml
        tutti export --only organisations --only teams
        tutti export | diff cluster.yaml -

      The file has no secrets: keys are named, and credentials of hosts are references. Revoked \
      and replaced keys, past prices, the ledger, and whether a host is suspended or drained are \
      not in it.
      """)

  @OptionGroup var cluster: ClusterOptions
  @Option(
    help: ArgumentHelp(
      "Only this section: \(sections.joined(separator: ", ")). May be repeated.",
      valueName: "section"),
    completion: .list(sections))
  var only: [String] = []
  @Option(
    name: [.customShort("o"), .long],
    help: ArgumentHelp("File to write. Default: standard output.", valueName: "file"),
    completion: .file())
  var output: String?

  private static let sections = RecordKind.all.map(\.section)

  func validate() throws {
    for name in only where !Self.sections.contains(name) {
      throw ValidationError(
        "--only: “\(name.cut(toBytes: 40))” is not a section; choose from "
          + Self.sections.joined(separator: ", "))
    }
  }

  func run() async throws {
    let kinds = RecordKind.all.filter { only.isEmpty || only.contains($0.section) }
    let state = try await AdminConnection(try cluster.client()).state(of: kinds)
    for kind in kinds where state.lacks(kind) {
      Terminal.progress("this registry has no \(kind.section): the section is left out")
    }
    let text = ClusterExport.text(of: state, only: Set(only), now: WallClock.milliseconds)
    guard let output else {
      Terminal.write(text, to: 1)
      return
    }
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: output), options: .atomic)
    } catch {
      throw ProcessFailure(
        .failed, "\(output) could not be written (\(ErrorSentence.of(file: error)))")
    }
  }
}
