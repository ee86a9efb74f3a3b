public import ClusterModel
import Limits
import Text

/// The names of the commands and of their subcommands.
public struct CommandTree: Sendable {
  let name: String
  let aliases: [String]
  let subcommands: [CommandTree]

  public init(_ name: String, aliases: [String] = [], subcommands: [CommandTree] = []) {
    self.name = name
    self.aliases = aliases
    self.subcommands = subcommands
  }

  var names: [String] { [name] + aliases }
}

/// Suggests the command that a mistyped command was probably meant to be.
public enum CommandGuess {
  /// Subcommand that the argument parser adds at the root. Its arguments are names of commands.
  private static let help = "help"

  /// Returns the failure that names the unknown command and its likely meaning.
  ///
  /// `nil` means that the arguments name a known command, so that the mistake is another one.
  ///
  /// - Parameter arguments: the arguments of the program without its name.
  public static func failure(for arguments: [String], in root: CommandTree) -> ProcessFailure? {
    var command = root
    var path = [root.name]
    for argument in arguments {
      guard !command.subcommands.isEmpty, !argument.hasPrefix("-") else { return nil }
      if path.count == 1, argument == help { continue }
      guard let next = command.subcommands.first(where: { $0.names.contains(argument) }) else {
        return ProcessFailure(.usage, message(argument, after: path, in: command))
      }
      command = next
      path.append(next.name)
    }
    return nil
  }

  private static func message(
    _ argument: String, after path: [String], in command: CommandTree
  ) -> String {
    let shown = argument.cut(toBytes: Limits.errorNameBytes.value)
    let prefix = path.joined(separator: " ")
    if path.count == 1, argument.contains(where: \.isWhitespace) {
      return "“\(shown)” is no command; if it is a question: \(prefix) ask \"…\""
    }
    let names = command.subcommands.flatMap(\.names)
    let near = NearNames.near(argument, among: names).map { "\(prefix) \($0)" }
    guard let first = near.first else {
      let list = command.subcommands.map(\.name).joined(separator: ", ")
      return "\(shown) is no command of \(prefix); the commands are: \(list)"
    }
    let rest = near.dropFirst()
    return "\(shown) is no command of \(prefix); did you mean `\(first)`"
      + (rest.isEmpty ? "" : " or " + rest.map { "`\($0)`" }.joined(separator: " or ")) + "?"
  }
}
