import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct TeamsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "teams",
    abstract: "List, create, change and remove teams within organisations.",
    discussion: """
        tutti teams create acme/research --name Research
        tutti teams list acme
        tutti keys create notebook --account acme/research
        tutti budgets set acme/research 20 --period week
      """,
    subcommands: [List.self, Show.self, Create.self, Set.self, Remove.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show teams with their budgets.")
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print one JSON object a line, one for each team.") var json = false
    @Argument(help: "Only teams of this organisation.") var organisation: String?

    func run() async throws {
      let query = try organisation.map { "organisation=\(try AccountArgument.organisation($0))" }
      let rows = try await cluster.rows(
        of: .teams, query: query ?? "", as: TeamRow.self, json: json)
      if json { return }
      for line in TeamRow.table(rows).lines { Terminal.line(line) }
      if rows.isEmpty {
        Terminal.progress("there is no team; make one with `tutti teams create ORGANISATION/TEAM`")
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Show one team.")
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "The team, as ORGANISATION/TEAM.") var id: String

    func run() async throws {
      let path = RecordKind.teams.path(of: "\(try AccountArgument.team(id))")
      try TeamsCommand.present(
        try await AdminConnection(try cluster.client()).success(.GET, path), json: json)
    }
  }

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create", abstract: "Create a team of an organisation.",
      discussion: "  tutti teams create acme/research --name Research")
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Name for people. Default: the id.") var name: String?
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "The team, as ORGANISATION/TEAM.") var id: String

    func run() async throws {
      var body: [String: RecordValue] = ["id": .text("\(try AccountArgument.team(id))")]
      if let name { body["name"] = .text(name) }
      try TeamsCommand.present(
        try await AdminConnection(try cluster.client())
          .success(.POST, RecordKind.teams.path, body: RecordValue.object(body).encoded),
        json: json)
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Change a team's name.",
      discussion: "  tutti teams set acme/research --name \"Research and more\"")
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Name for people.") var name: String
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "The team, as ORGANISATION/TEAM.") var id: String

    func run() async throws {
      let path = RecordKind.teams.path(of: "\(try AccountArgument.team(id))")
      let body = RecordValue.object(["name": .text(name)]).encoded
      try TeamsCommand.present(
        try await AdminConnection(try cluster.client()).success(.PATCH, path, body: body),
        json: json)
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Remove a team that is not in use.",
      discussion: """
        Its keys must be revoked or moved, and its requests over. For credits that gateways still \
        hold, the command waits up to 10 s.

          tutti teams remove acme/research
          tutti teams remove acme/research --yes       # in a script
        """,
      aliases: ["rm"])
    @OptionGroup var cluster: ClusterOptions
    @Flag(name: [.customShort("y"), .long], help: "Do not ask for confirmation.") var yes = false
    @Argument(help: "The team, as ORGANISATION/TEAM.") var id: String

    func run() async throws {
      let id = "\(try AccountArgument.team(id))"
      try await cluster.removeRecord(
        at: RecordKind.teams.path(of: id), isConfirmed: yes, "Remove team \(id)?")
    }
  }

  private static func present(_ answer: ClusterClient.Answer, json: Bool) throws {
    if json {
      Terminal.json(answer.body)
      return
    }
    let row = try answer.decoded(as: TeamRow.self, from: "the registry")
    for line in TeamRow.table([row]).lines { Terminal.line(line) }
  }
}
