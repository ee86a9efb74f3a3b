import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1

struct LedgerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ledger",
    abstract: "Show, export, prove and add transactions of credits.",
    discussion: """
        tutti ledger credit acme 100 --note "invoice 17"
        tutti ledger balance
        tutti ledger balance org/acme --at 2027-01-01
        tutti ledger list --account org/acme --from 2027-01-01
        tutti ledger payout gpu-1 12.50
        tutti ledger correct host/gpu-1 org/acme 3 --note "billed twice"
        tutti ledger export --format csv > ledger.csv
        tutti ledger verify

      Accounts: org/ID (balance of an organisation), holds/ID (reserved for its requests), host/ID \
      (earnings), issued (credits of all organisations), paid (payouts), margin (the operator's). \
      A transaction's entries sum to zero.
      """,
    subcommands: [
      List.self, Balance.self, Credit.self, Debit.self, Payout.self, Correct.self, Export.self,
      Verify.self,
    ])

  /// Options that select transactions.
  struct Selection: ParsableArguments {
    @Option(help: "Only transactions of this account, for example org/acme.") var account: String?
    @Option(
      help: "Only this kind: credit, hold, release, settle, payout or correction.",
      completion: .list(["credit", "hold", "release", "settle", "payout", "correction"]))
    var kind: String?
    @Option(help: "Only credits that were held, released or spent for the key with this id.")
    var key: String?
    @Option(help: "Only the bill of the request with this trace.") var trace: String?
    @Option(help: "Only transactions at or after this date in UTC.") var from: String?
    @Option(help: "Only transactions before this date in UTC.") var to: String?

    func query() throws -> String {
      var selection = LedgerSelection()
      selection.account = account
      selection.kind = kind
      selection.key = key
      selection.trace = trace
      selection.from = from
      selection.until = to
      return try selection.query()
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show transactions, the latest first.",
      discussion: """
          tutti ledger list
          tutti ledger list --account host/gpu-1 --from 2027-01-01 --to 2027-02-01
          tutti ledger list --kind settle --key ID
          tutti ledger list --trace TRACE
        """)

    /// Maximum requests of one command. With a kind, a key or a trace, a page may have few
    /// transactions or none.
    private static let maximumPages = 1_000

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var selection: Selection
    @Option(help: "Maximum transactions, 1 to 1000.") var limit = 100
    @Option(help: "Continue after this place from the end of a list.") var after: String?
    @Flag(help: "Print one JSON object a line, one for each transaction.") var json = false

    func validate() throws {
      guard (1...1_000).contains(limit) else {
        throw ValidationError("--limit: \(limit) is not from 1 to 1000")
      }
    }

    func run() async throws {
      struct Page: Decodable {
        let data: [TransactionRow]
        let next: String?
      }
      let selected = try selection.query()
      let connection = try await AdminConnection(try cluster.client())
      var rows: [TransactionRow] = []
      var count = 0
      var next = after
      for _ in 0..<Self.maximumPages {
        let place = next.map { "after=" + PathText.escaped($0) } ?? ""
        let query = ["limit=\(limit - count)", selected, place].filter { !$0.isEmpty }
        let answer = try await connection.success(
          .GET, "/admin/v1/ledger?" + query.joined(separator: "&"))
        let page = try answer.decoded(as: Page.self, from: "the registry")
        if json {
          try Terminal.jsonLines(ofList: answer.body)
        } else {
          rows += page.data
        }
        count += page.data.count
        next = page.next
        guard next != nil, count < limit else { break }
      }
      if !json {
        for line in TransactionRow.table(rows).lines { Terminal.line(line) }
        if rows.isEmpty { Terminal.progress("there is no such transaction") }
      }
      if let next { Terminal.progress("earlier transactions: add --after \(next)") }
    }
  }

  struct Balance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "balance", abstract: "Show the balance of one account, or of all.",
      discussion: """
          tutti ledger balance
          tutti ledger balance org/acme --at 2027-01-01
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "The balance at this date in UTC. Default: now.") var at: String?
    @Flag(help: "Print one JSON object a line, one for each account.") var json = false
    @Argument(help: "Account, for example org/acme, host/gpu-1 or margin.") var account: String?

    func run() async throws {
      let time = try at.map { "at_ms=\(try PointInTime.milliseconds($0, option: "at"))" }
      if let account { try LedgerSelection.check(account: account) }
      let connection = try await AdminConnection(try cluster.client())
      if let account {
        let query = ["account=" + PathText.escaped(account), time].compactMap(\.self)
        let answer = try await connection.success(
          .GET, "/admin/v1/ledger/balance?" + query.joined(separator: "&"))
        if json {
          Terminal.json(answer.body)
        } else {
          let row = try answer.decoded(as: BalanceRow.self, from: "the registry")
          Terminal.line(row.balance)
        }
        return
      }
      let rows = try await balances(connection, time)
      if json { return }
      for line in BalanceRow.table(rows).lines { Terminal.line(line) }
      if rows.isEmpty { Terminal.progress("no credits were moved") }
    }

    private func balances(
      _ connection: AdminConnection, _ time: String?
    ) async throws -> [BalanceRow] {
      struct Page: Decodable {
        let data: [BalanceRow]
        let hasMore: Bool

        enum CodingKeys: String, CodingKey {
          case data
          case hasMore = "has_more"
        }
      }
      var rows: [BalanceRow] = []
      var place: String?
      // A registry that repeats its pages must not keep the command busy without end.
      for _ in 0..<1_000 {
        let query = ["limit=1000", time, place.map { "after=" + PathText.escaped($0) }]
          .compactMap(\.self).joined(separator: "&")
        let answer = try await connection.success(.GET, "/admin/v1/ledger/balances?" + query)
        let page = try answer.decoded(as: Page.self, from: "the registry")
        if json {
          try Terminal.jsonLines(ofList: answer.body)
        } else {
          rows += page.data
        }
        guard page.hasMore, let last = page.data.last else { return rows }
        place = last.account
      }
      throw AdminConnection.endless("/admin/v1/ledger/balances")
    }
  }

  /// Options of all transfers.
  struct TransferFlags: ParsableArguments {
    @OptionGroup var cluster: ClusterOptions
    @Option(
      help: "Id of the transfer. One with an id that was used moves nothing. Default: a new one.")
    var id: String?
    @Option(help: "Remark, for example the number of an invoice.") var note: String?
    @Flag(help: "Print the registry's answer as it is.") var json = false

    func make(_ kind: TransferOptions.Kind, _ amount: String) async throws {
      struct Made: Decodable { let repeated: Bool }
      let options = TransferOptions(
        kind, amount: amount, id: id ?? UUID().uuidString.lowercased(), note: note)
      let body = try options.body().encoded
      let connection = try await AdminConnection(try cluster.client())
      let path = "/admin/v1/transfers"
      let answer: ClusterClient.Answer
      do {
        answer = try await connection.answer(.POST, path, body: body)
      } catch let failure as ProcessFailure {
        Terminal.progress(options.retryAdvice)
        throw failure
      }
      guard (200..<300).contains(answer.status) else {
        if answer.status >= 500 { Terminal.progress(options.retryAdvice) }
        throw connection.failure(answer, at: path)
      }
      let isRepeated = try answer.decoded(as: Made.self, from: "the registry").repeated
      if json {
        Terminal.json(answer.body)
      } else {
        Terminal.line(options.id)
      }
      Terminal.progress(
        isRepeated
          ? "a transfer with this id was made before; nothing was moved" : options.summary)
    }
  }

  struct Credit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "credit", abstract: "Add credits to an organisation.",
      discussion: """
        Prints the id of the transfer. A script that may be repeated names the id.

          tutti ledger credit acme 100
          tutti ledger credit acme 12.50 --id invoice-17 --note "invoice 17"
        """)
    @OptionGroup var flags: TransferFlags
    @Argument(help: "Id of the organisation.") var organisation: String
    @Argument(help: "Credits, for example 12.50.") var amount: String

    func run() async throws {
      try await flags.make(.credit(organisation: organisation), amount)
    }
  }

  struct Debit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "debit", abstract: "Take credits back from an organisation.",
      discussion: "  tutti ledger debit acme 12.50 --note refund")
    @OptionGroup var flags: TransferFlags
    @Argument(help: "Id of the organisation.") var organisation: String
    @Argument(help: "Credits, for example 12.50.") var amount: String

    func run() async throws {
      try await flags.make(.debit(organisation: organisation), amount)
    }
  }

  struct Payout: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "payout",
      abstract: "Record that a host's earnings were paid to it outside Tutti.",
      discussion: "  tutti ledger payout gpu-1 12.50 --id payout-2027-01")
    @OptionGroup var flags: TransferFlags
    @Argument(help: "Id of the host.") var host: String
    @Argument(help: "Credits, at most its earnings.") var amount: String

    func run() async throws { try await flags.make(.payout(host: host), amount) }
  }

  struct Correct: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "correct",
      abstract: "Correct earlier transactions: move credits from one account to another.",
      discussion: """
        A new transaction is added, because transactions are never changed. Budgets keep what was \
        spent from them. Credits that are held for requests cannot be moved.

          tutti ledger correct host/gpu-1 org/acme 3 --note "billed twice"
          tutti ledger correct margin org/acme 0.50 --id refund-17
        """)
    @OptionGroup var flags: TransferFlags
    @Argument(help: "Account that loses the credits, for example host/gpu-1 or margin.")
    var source: String
    @Argument(help: "Account that gets the credits, for example org/acme.") var target: String
    @Argument(help: "Credits, for example 12.50.") var amount: String

    func run() async throws {
      try await flags.make(.correction(from: source, to: target), amount)
    }
  }

  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "export", abstract: "Write transactions to standard output, the oldest first.",
      discussion: """
          tutti ledger export --format csv > ledger.csv
          tutti ledger export --from 2027-01-01 --to 2027-02-01 > january.jsonl
        """)
    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var selection: Selection
    @Option(help: "csv: a line for each entry; jsonl (default): a line for each transaction.")
    var format = "jsonl"

    func validate() throws {
      guard ["csv", "jsonl"].contains(format) else {
        throw ValidationError("--format: “\(format.cut(toBytes: 20))” is not csv or jsonl")
      }
    }

    func run() async throws {
      let query = ["format=\(format)", try selection.query()].filter { !$0.isEmpty }
      // A terminal acts on control characters in notes and names, so they are made visible there. A
      // file or pipe gets every byte unchanged.
      var lines = isatty(1) == 1 ? VisibleLines() : nil
      try await AdminConnection(try cluster.client())
        .stream("/admin/v1/ledger/export?" + query.joined(separator: "&")) { piece in
          if let text = lines?.visible(piece) {
            Terminal.write(text, to: 1)
          } else {
            Terminal.write(piece, to: 1)
          }
        }
      if let rest = lines?.end() { Terminal.write(rest, to: 1) }
    }
  }

  struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "verify",
      abstract: "Prove that all transactions sum to zero and balances equal their entries.",
      discussion: """
        Exit status 1 if there is a difference. Each is printed on a line. The registry reads the \
        whole ledger, which takes some seconds for a million transactions.
        """)
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.") var json = false

    func run() async throws {
      let answer = try await AdminConnection(try cluster.client())
        .success(.GET, "/admin/v1/ledger/verify", timeout: .hours(1))
      let proof = try answer.decoded(as: LedgerProof.self, from: "the registry")
      if json {
        Terminal.json(answer.body)
      } else {
        for difference in proof.differences { Terminal.line(difference) }
      }
      guard proof.holds else {
        throw ProcessFailure(
          .failed,
          "the ledger is not correct: \(counted(proof.differences.count, "difference")) in "
            + counted(proof.transactions, "transaction"))
      }
      if !json { Terminal.line("correct: \(counted(proof.transactions, "transaction"))") }
    }
  }
}
