import ClusterModel
import Foundation
import ServiceKit
import Telemetry

/// The process of `all-of-tutti`, or of one of its links.
package enum AllInOneProcess {
  /// Runs the program by whose name the executable was called.
  package static func main() async {
    // `/proc/self/exe` names the target of a link, so only this argument has the program's name.
    if let path = CommandLine.arguments.first, let program = Program(path: path) {
      await program.main()
      return
    }
    let (text, status) = answer(to: Array(CommandLine.arguments.dropFirst()))
    if status == .done { StandardOutput.write(text) } else { StandardError.write(text) }
    exit(status.rawValue)
  }

  /// The output of a call by a name that belongs to no program. The scripts that install Tutti make
  /// a link for each line of `--names`.
  private static func answer(to arguments: [String]) -> (text: String, status: ExitStatus) {
    let names = Program.allCases.map(\.rawValue)
    switch arguments {
    case ["--names"]: return (names.map { $0 + "\n" }.joined(), .done)
    case ["--version"]: return ("all-of-tutti \(Version.withCommit)\n", .done)
    case ["--help"]: return (help(names), .done)
    default: return (help(names), .usage)
    }
  }

  private static func help(_ names: [String]) -> String {
    let list = names.map { "  \($0)\n" }.joined()
    return "All programs of Tutti in one executable, which runs the program that its link names.\n"
      + "Call it by a link with one of these names, which --names prints:\n\(list)"
  }
}
