import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct OrganisationsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "organisations",
    abstract: "List, create, change and remove organisations, the owners of keys.",
    discussion: """
        tutti organisations create acme --name "Acme Inc." --prepaid
        tutti organisations list
        tutti ledger credit acme 100
        tutti budgets set acme 50 --period month --warn 80%

      Keys of a prepaid organisation may spend what was credited to it. Keys of other \
      organisations may spend as much as their budgets permit.
      """,
    subcommands: [List.self, Show.self, Create.self, Set.self, Remove.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show all organisations with balances and budgets.")
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print one JSON object a line, one for each organisation.") var json = false

    func run() async throws {
      let rows = try await cluster.rows(of: .organisations, as: OrganisationRow.self, json: json)
      if json { return }
      for line in OrganisationRow.table(rows).lines { Terminal.line(line) }
      if rows.isEmpty {
        Terminal.progress("there is no organisation; make one with `tutti organisations create ID`")
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Show one organisation.")
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Id of an organisation.") var id: String

    func run() async throws {
      let path = RecordKind.organisations.path(of: try AccountArgument.organisation(id))
      try OrganisationsCommand.present(
        try await AdminConnection(try cluster.client()).success(.GET, path), json: json)
    }
  }

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create", abstract: "Create an organisation.",
      discussion: """
          tutti organisations create acme
          tutti organisations create acme --name "Acme Inc." --prepaid
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Name for people. Default: the id.") var name: String?
    @Flag(help: "Keys may spend only what was credited to the organisation.") var prepaid = false
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Id: 1 to 64 characters of a–z, 0–9, -, _ and .") var id: String

    func run() async throws {
      var body: [String: RecordValue] = ["id": .text(try AccountArgument.organisation(id))]
      if let name { body["name"] = .text(name) }
      if prepaid { body["prepaid"] = .boolean(true) }
      try OrganisationsCommand.present(
        try await AdminConnection(try cluster.client())
          .success(.POST, RecordKind.organisations.path, body: RecordValue.object(body).encoded),
        json: json)
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Change an organisation's name, or whether it is prepaid.",
      discussion: """
          tutti organisations set acme --prepaid
          tutti organisations set acme --no-prepaid --name Acme
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Name for people.") var name: String?
    @Flag(
      inversion: .prefixedNo,
      help: "Whether keys may spend only what was credited to the organisation.")
    var prepaid: Bool?
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Id of an organisation.") var id: String

    func run() async throws {
      let path = RecordKind.organisations.path(of: try AccountArgument.organisation(id))
      var body: [String: RecordValue] = [:]
      if let name { body["name"] = .text(name) }
      if let prepaid { body["prepaid"] = .boolean(prepaid) }
      guard !body.isEmpty else {
        throw ProcessFailure(.usage, "name a property to change: --name, --prepaid or --no-prepaid")
      }
      try OrganisationsCommand.present(
        try await AdminConnection(try cluster.client())
          .success(.PATCH, path, body: RecordValue.object(body).encoded), json: json)
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Remove an organisation that is not in use.",
      discussion: """
        Its keys must be revoked, its teams removed, its balance 0, and its requests over. For \
        credits that gateways still hold, the command waits up to 10 s. The ledger keeps its \
        entries; if it has any, its id is not used again.

          tutti organisations remove acme
          tutti organisations remove acme --yes        # in a script
        """,
      aliases: ["rm"])
    @OptionGroup var cluster: ClusterOptions
    @Flag(name: [.customShort("y"), .long], help: "Do not ask for confirmation.") var yes = false
    @Argument(help: "Id of an organisation.") var id: String

    func run() async throws {
      let id = try AccountArgument.organisation(id)
      try await cluster.removeRecord(
        at: RecordKind.organisations.path(of: id), isConfirmed: yes,
        "Remove organisation \(id)? Its id is not used again if the ledger has entries of it.")
    }
  }

  private static func present(_ answer: ClusterClient.Answer, json: Bool) throws {
    if json {
      Terminal.json(answer.body)
      return
    }
    let row = try answer.decoded(as: OrganisationRow.self, from: "the registry")
    for line in OrganisationRow.table([row]).lines { Terminal.line(line) }
  }
}

extension ClusterOptions {
  /// Removes a record.
  ///
  /// - Parameters:
  ///   - isConfirmed: whether the person has consented already. Otherwise the record is removed
  ///     only if it is the same after the question as before.
  func removeRecord(at path: String, isConfirmed: Bool, _ question: String) async throws {
    var tag: String?
    if !isConfirmed {
      tag = try await AdminConnection(try client()).success(.GET, path).etag
      try Terminal.confirm(question)
    }
    // During the question, another program may have taken the registry's port. So the registry must
    // prove again that it knows the token.
    try await AdminConnection(try client()).remove(path, ifMatch: tag)
  }

  /// Returns all records of a kind.
  ///
  /// - Parameters:
  ///   - query: parameters that all pages have.
  ///   - json: `true` means to print each record as JSON on a line of its own, and to return no
  ///     records.
  func rows<Row: Decodable>(
    of kind: RecordKind, query: String = "", as _: Row.Type, json: Bool
  ) async throws -> [Row] {
    var rows: [Row] = []
    try await AdminConnection(try client()).eachPage(of: kind, query: query) { _, answer in
      if json {
        try Terminal.jsonLines(ofList: answer.body)
      } else {
        rows += try answer.decoded(as: ClusterClient.Page<Row>.self, from: "the registry").data
      }
    }
    return rows
  }
}
