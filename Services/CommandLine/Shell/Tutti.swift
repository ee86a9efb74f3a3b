import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import ServiceKit

/// `tutti`: starts a cluster and sends requests to it.
struct Tutti: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tutti",
    abstract: "One OpenAI-compatible endpoint over many models and machines.",
    discussion: """
      Start a cluster on this machine, with local models if you name no host:
        tutti up
        tutti up --host http://127.0.0.1:11434

      Ask it, in another terminal:
        tutti ask "Why is the sky blue?"
        tutti ask -m tutti/ensemble --trace "Why is the sky blue?"
        tutti plan -m tutti/debate "Is a hot dog a sandwich?"
        tutti chat

      Once it is used by others, require keys:
        tutti keys create laptop --save

      Or with any OpenAI client:
        curl http://127.0.0.1:8080/v1/chat/completions -d \\
          '{"model":"tutti/fast","messages":[{"role":"user","content":"Hello"}]}'

      Exit status: 0 done, 1 failed, 64 usage or configuration, 69 unavailable, 75 try later.
      """,
    version: "tutti \(Version.withCommit)",
    subcommands: [
      UpCommand.self, StopCommand.self, AskCommand.self, ChatCommand.self, PlanCommand.self,
      StatusCommand.self,
      HostsCommand.self, KeysCommand.self, ModelsCommand.self, OrganisationsCommand.self,
      TeamsCommand.self, BudgetsCommand.self, PricesCommand.self, TariffCommand.self,
      LedgerCommand.self, SettingsCommand.self, ExportCommand.self, ApplyCommand.self,
      UsageCommand.self, AuditCommand.self, LogsCommand.self, RequestsCommand.self,
      TraceCommand.self,
      SimulateCommand.self,
    ])

  static func main() async {
    do {
      var command = try await asyncParseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch let failure as ProcessFailure {
      for line in failure.message.split(separator: "\n") { Terminal.progress(String(line)) }
      Foundation.exit(failure.status.rawValue)
    } catch {
      if exitCode(for: error).rawValue == ExitStatus.usage.rawValue,
        let failure = CommandGuess.failure(
          for: Array(CommandLine.arguments.dropFirst()), in: tree(of: Self.self))
      {
        Terminal.progress(failure.message)
        Foundation.exit(failure.status.rawValue)
      }
      // The message of a mistake repeats the argument, which may be a key.
      let text = fullMessage(for: error)
      let shown = HiddenSecrets.hide(in: text)
      if shown == text { exit(withError: error) }
      Terminal.write(shown + "\n", to: 2)
      Foundation.exit(exitCode(for: error).rawValue)
    }
  }

  /// The names of a command and its subcommands. All commands have a name in their configuration.
  private static func tree(of command: any ParsableCommand.Type) -> CommandTree {
    let configuration = command.configuration
    return CommandTree(
      configuration.commandName ?? "", aliases: configuration.aliases,
      subcommands: configuration.subcommands.map { tree(of: $0) })
  }
}

/// The process of `tutti`.
package enum TuttiProcess {
  package static func main() async { await Tutti.main() }
}
