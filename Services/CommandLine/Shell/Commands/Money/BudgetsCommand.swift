import Access
import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct BudgetsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "budgets",
    abstract: "Show, set and remove budgets of organisations, teams and keys.",
    discussion: """
        tutti budgets list
        tutti budgets set acme 100 --period month --warn 80% --warn 95%
        tutti budgets set acme/research 5 --period day --window rolling
        tutti budgets set tutti-abcdefgh2345 1 --period hour
        tutti budgets clear acme --period month

      WHO is an organisation, ORGANISATION/TEAM, or the id of a key; tutti-ID always means a key. \
      Amounts are credits. A request needs room in all budgets of its key, team and organisation.
      """,
    subcommands: [List.self, Set.self, Clear.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show budgets and what is spent of them.",
      discussion: """
          tutti budgets list                   # of all accounts and keys
          tutti budgets list acme/research
        """)
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print one JSON object a line, one for each account or key with budgets.")
    var json = false
    @Argument(help: "Only budgets of this organisation, team or key.") var who: String?

    func run() async throws {
      let owner = try who.map { try BudgetOwnerName($0) }
      let connection = try await AdminConnection(try cluster.client())
      var owners: [(name: String, budgets: [BudgetRow])] = []
      if let owner, let who {
        let answer = try await connection.success(.GET, try await connection.path(of: owner))
        owners = [(who, try show(answer))]
      } else {
        for kind in [RecordKind.organisations, .teams] {
          try await connection.eachPage(of: kind) { records, _ in
            for record in records {
              let budgets = try show(
                ClusterClient.Answer(status: 200, body: Data(record.encoded)))
              owners.append((record["id"]?.text ?? "", budgets))
            }
          }
        }
        var keys: [String] = []
        try await connection.eachPage(of: .keys) { records, _ in
          keys += records.filter { $0["state"] != .text("revoked") }.compactMap { $0["id"]?.text }
        }
        for id in keys {
          let answer = try await connection.success(.GET, RecordKind.keyBudgetsPath(id))
          owners.append(("key \(id)", try show(answer)))
        }
      }
      if json { return }
      for line in BudgetRow.table(owners).lines { Terminal.line(line) }
      if owners.allSatisfy(\.budgets.isEmpty) {
        Terminal.progress("there is no budget; make one with `tutti budgets set WHO AMOUNT`")
      }
    }

    private func show(_ answer: ClusterClient.Answer) throws -> [BudgetRow] {
      let budgets = try answer.decoded(as: OwnBudgets.self, from: "the registry").budgets
      if json, !budgets.isEmpty { Terminal.json(answer.body) }
      return budgets
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Set a budget; others of the account stay.",
      discussion: """
        A budget of the same period and window is replaced, and what was spent of it still counts.

          tutti budgets set acme 100 --period month --warn 80% --warn 95%
          tutti budgets set acme/research 5 --period day --window rolling
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Period: hour, day, week, month, quarter or year.") var period: String?
    @Option(
      help: "calendar (default): periods begin at their start in UTC; rolling: the latest period.")
    var window: String?
    @Option(
      name: .customLong("warn"),
      help: ArgumentHelp(
        "Log a warning when this share is spent, for example 80%. May be repeated. Default: the "
          + "present ones.", valueName: "share"))
    var warnings: [String] = []
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Organisation, ORGANISATION/TEAM or id of a key.") var who: String
    @Argument(help: "Credits, for example 12.50.") var amount: String

    func run() async throws {
      var options = BudgetOptions()
      options.period = period
      options.window = window
      options.warnings = warnings.isEmpty ? nil : warnings
      // Mistakes are reported before the cluster is asked.
      _ = try options.setting(amount, in: [])
      let connection = try await BudgetsCommand.change(
        try BudgetOwnerName(who), who, cluster, json: json
      ) {
        present throws(ProcessFailure) in try options.setting(amount, in: present)
      }
      if try await connection.isFree() {
        Terminal.progress(
          "no model has a price, and models without one are free, so nothing counts against the "
            + "budget; set prices with `tutti prices set`")
      }
    }
  }

  struct Clear: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "clear", abstract: "Remove budgets: all of the account, or those of a period.",
      discussion: """
          tutti budgets clear acme --period month
          tutti budgets clear acme/research      # all budgets of the team
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Only budgets of this period.") var period: String?
    @Option(help: "Only budgets of this window: calendar or rolling.") var window: String?
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Organisation, ORGANISATION/TEAM or id of a key.") var who: String

    func run() async throws {
      var options = BudgetOptions()
      options.period = period
      options.window = window
      _ = try await BudgetsCommand.change(try BudgetOwnerName(who), who, cluster, json: json) {
        present throws(ProcessFailure) in try options.clearing(present)
      }
    }
  }

  /// Changes the budgets of an account. If another admin changes them at the same time, this change
  /// is refused, so that the other admin's change is not lost.
  private static func change(
    _ owner: BudgetOwnerName, _ who: String, _ cluster: ClusterOptions, json: Bool,
    _ edit: ([BudgetRow]) throws(ProcessFailure) -> RecordValue
  ) async throws -> AdminConnection {
    let connection = try await AdminConnection(try cluster.client())
    let path = try await connection.path(of: owner)
    let present = try await connection.success(.GET, path)
    let budgets = try present.decoded(as: OwnBudgets.self, from: "the registry").budgets
    let body = RecordValue.object(["budgets": try edit(budgets)]).encoded
    let answer = try await connection.success(
      path.hasPrefix(RecordKind.keyBudgetsPath("")) ? .PUT : .PATCH, path, body: body,
      ifMatch: present.etag)
    if json {
      Terminal.json(answer.body)
      return connection
    }
    let new = try answer.decoded(as: OwnBudgets.self, from: "the registry").budgets
    for line in BudgetRow.table([(who, new)]).lines { Terminal.line(line) }
    if new.isEmpty { Terminal.progress("\(who) has no budget") }
    return connection
  }
}

extension AdminConnection {
  /// Whether no request costs anything.
  fileprivate func isFree() async throws -> Bool {
    let prices = try await success(.GET, RecordKind.prices.path + "?limit=1")
    guard RecordValue(json: Array(prices.body))?["data"] == .list([]) else { return false }
    let tariff = try await success(.GET, RecordKind.tariff.path)
    return RecordValue(json: Array(tariff.body))?["unknown_price"] == .text("free")
  }

  /// Path of the record with the owner's budgets.
  fileprivate func path(of owner: BudgetOwnerName) async throws -> String {
    switch owner {
    case .organisation, .team: break
    case .key(let id): return try await keyBudgetsPath(id)
    case .organisationOrKey(let name, let id):
      let path = RecordKind.organisations.path(of: name)
      let organisation = try await answer(.GET, path)
      guard organisation.status != 404 else { return try await keyBudgetsPath(id) }
      guard organisation.status == 200 else { throw failure(organisation, at: path) }
      return path
    }
    return owner.path ?? ""
  }

  /// Path of a key's budgets. The registry returns budgets for any id, so the key is looked up
  /// first.
  private func keyBudgetsPath(_ id: KeyID) async throws -> String {
    _ = try await success(.GET, RecordKind.keys.path(of: "\(id)"))
    return RecordKind.keyBudgetsPath("\(id)")
  }
}
