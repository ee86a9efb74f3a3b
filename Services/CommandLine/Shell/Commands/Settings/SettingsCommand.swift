import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct SettingsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "settings",
    abstract: "List and change settings while the cluster runs.",
    discussion: """
        tutti settings list
        tutti settings set inference.race hedged
        tutti settings set gateway.max_requests 1024
        tutti settings clear inference.race

      A value that is set here holds in all processes at once, and wins over their files, variables \
      and flags. It stays when processes restart. `tutti settings clear` leaves the decision to the \
      configuration of each process again.
      """,
    subcommands: [List.self, Set.self, Clear.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list",
      abstract: "Show the settings that can change at run time.",
      discussion: """
        The value is - if the configuration of each process decides: its flag, variable or file, \
        otherwise the default.
        """)

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print one JSON object a line, one for each setting.") var json = false

    func run() async throws {
      let answer = try await cluster.client().settings()
      if json {
        try Terminal.jsonLines(ofList: answer.body)
        return
      }
      let page = try answer.decoded(
        as: ClusterClient.Page<SettingRow>.self, from: "the registry")
      for line in SettingRow.table(page.data).lines { Terminal.line(line) }
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set",
      abstract: "Change a setting in all processes, without a restart.",
      discussion: RuntimeSetting.allCases.map { setting in
        "\(setting.id) (\(setting.range); default \(setting.standard))\n    \(setting.help)"
      }.joined(separator: "\n"))

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the setting as JSON.") var json = false
    @Argument(
      help: "Name of a setting.", completion: .list(RuntimeSetting.allCases.map(\.id)))
    var name: String
    @Argument(help: "The new value.") var value: String

    func run() async throws {
      let change = try SettingChange(name: name, text: value)
      try SettingsCommand.present(try await cluster.client().change(change), of: name, json: json)
    }
  }

  struct Clear: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "clear",
      abstract: "Remove a value, so that the configuration of each process decides again.")

    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the setting as JSON.") var json = false
    @Argument(
      help: "Name of a setting.", completion: .list(RuntimeSetting.allCases.map(\.id)))
    var name: String

    func run() async throws {
      let change = try SettingChange(name: name, text: nil)
      try SettingsCommand.present(try await cluster.client().change(change), of: name, json: json)
    }
  }

  /// Prints the changed setting with `--json`.
  /// - Parameter answer: the list of all settings.
  private static func present(
    _ answer: ClusterClient.Answer, of name: String, json: Bool
  ) throws {
    guard json else { return }
    guard let setting = SettingRow.json(of: name, in: answer.body) else {
      throw ProcessFailure(.failed, "the registry's answer does not have the setting \(name)")
    }
    Terminal.json(setting)
  }
}
