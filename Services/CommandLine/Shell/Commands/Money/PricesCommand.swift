import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct PricesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prices",
    abstract: "Show the price book, and add prices.",
    discussion: """
        tutti prices list
        tutti prices set qwen3 --input 0.15 --output 0.60 --cached-input 0.05
        tutti prices set qwen3 --host gpu-1 --input 0.10 --output 0.40
        tutti prices set qwen3 --input 0.20 --output 0.80 --from 2027-01-01
        tutti prices withdraw qwen3 --from 2027-01-01

      Prices are credits per million tokens. Clients pay the model's price, whichever host \
      answers; with --host it is what that host earns. Prices that are in force stay: a request \
      costs what it cost when it was admitted.
      """,
    subcommands: [List.self, Set.self, Withdraw.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "Show all prices, past and later ones too.")
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Only prices of this model.") var model: String?
    @Flag(help: "Print one JSON object a line, one for each price.") var json = false

    func run() async throws {
      let rows = try await cluster.rows(
        of: .prices, query: model.map { "model=" + PathText.escaped($0) } ?? "",
        as: PriceRowText.self, json: json)
      if json { return }
      for line in PriceRowText.table(rows).lines { Terminal.line(line) }
      if rows.isEmpty {
        Terminal.progress("there is no price; `tutti tariff show` shows what that means")
      }
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Add a price for a model, from now on or from a date.",
      discussion: """
          tutti prices set qwen3 --input 0.15 --output 0.60
          tutti prices set qwen3 --host gpu-1 --input 0.10 --output 0.40 --from 2027-01-01
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Credits per million prompt tokens.") var input: String
    @Option(help: "Credits per million tokens of answers.") var output: String
    @Option(help: "Credits per million prompt tokens from a cache. Default: as --input.")
    var cachedInput: String?
    @Option(help: "Id of the host that earns this price. Default: the price that clients pay.")
    var host: String?
    @Option(help: "Start, a date in UTC. Default: now.") var from: String?
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Name of the model.") var model: String

    func run() async throws {
      var options = PriceOptions(model: model, input: input, output: output)
      options.cachedInput = cachedInput
      options.host = host
      options.from = from
      let body = try options.body().encoded
      let connection = try await AdminConnection(try cluster.client())
      let answer = try await connection.success(.POST, RecordKind.prices.path, body: body)
      if json {
        Terminal.json(answer.body)
      } else {
        let row = try answer.decoded(as: PriceRowText.self, from: "the registry")
        for line in PriceRowText.table([row]).lines { Terminal.line(line) }
      }
      let listed = try await connection.answer(.GET, RecordKind.models.path(of: model))
      let problem = RecordValue(json: Array(listed.body))?["error"]
      if listed.status == 404, problem?["code"] == .text("model_not_found") {
        Terminal.progress(
          "no host lists a model \(model) now; `tutti models list` shows the names of models")
      }
    }
  }

  struct Withdraw: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "withdraw", abstract: "Withdraw a price that is not in force yet.",
      discussion: """
        The price must start in 10 s or later. The price before it then stays in force.

          tutti prices withdraw qwen3 --from 2027-01-01
          tutti prices withdraw qwen3 --host gpu-1 --from 2027-01-01T12:00:00Z
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Id of the host that earns the price. Default: the price that clients pay.")
    var host: String?
    @Option(help: "Start of the price, a date in UTC.") var from: String
    @Flag(help: "Print the registry's answer as it is.") var json = false
    @Argument(help: "Name of the model.") var model: String

    func run() async throws {
      let price = try PriceReference(model: model, host: host, from: from)
      let answer = try await AdminConnection(try cluster.client())
        .success(.DELETE, RecordKind.prices.path + "?" + price.query)
      if json { Terminal.json(answer.body) }
    }
  }
}

struct TariffCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tariff",
    abstract: "Show and set how models without a price and race losers are treated.",
    discussion: """
        tutti tariff show
        tutti tariff set --unknown-price refuse
        tutti tariff set --per-mille-of-winner 150 --progress-fee 0.1
      """,
    subcommands: [Show.self, Set.self])

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Show the tariff.")
    @OptionGroup var cluster: ClusterOptions
    @Flag(help: "Print the registry's answer as it is.") var json = false

    func run() async throws {
      try TariffCommand.present(
        try await AdminConnection(try cluster.client()).success(.GET, RecordKind.tariff.path),
        json: json)
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set", abstract: "Change the tariff; other members stay.",
      discussion: """
        A host that loses a race earns the reservation fee and the progress fee for its tokens, at \
        most the given share of the winner's pay.

          tutti tariff set --unknown-price refuse
          tutti tariff set --reservation-fee 0.000001 --progress-fee 0.1 --per-mille-of-winner 150
        """)
    @OptionGroup var cluster: ClusterOptions
    @Option(help: "Models without a price: free, or refuse.") var unknownPrice: String?
    @Option(help: "Credits for taking part in a race.") var reservationFee: String?
    @Option(help: "Credits per million tokens of a race loser.") var progressFee: String?
    @Option(help: "Highest pay of a loser in thousandths of the winner's pay, 100 to 200.")
    var perMilleOfWinner: Int?
    @Flag(help: "Print the registry's answer as it is.") var json = false

    func run() async throws {
      var options = TariffOptions()
      options.unknownPrice = unknownPrice
      options.reservationFee = reservationFee
      options.progressFee = progressFee
      options.perMilleOfWinner = perMilleOfWinner
      let connection = try await AdminConnection(try cluster.client())
      let present = try await connection.success(.GET, RecordKind.tariff.path)
      let rule = try present.decoded(as: TariffRow.self, from: "the registry").payoutRule
      let body = try options.body(present: rule).encoded
      try TariffCommand.present(
        try await connection.success(
          .PATCH, RecordKind.tariff.path, body: body, ifMatch: present.etag), json: json)
    }
  }

  private static func present(_ answer: ClusterClient.Answer, json: Bool) throws {
    if json {
      Terminal.json(answer.body)
      return
    }
    let row = try answer.decoded(as: TariffRow.self, from: "the registry")
    for line in row.lines { Terminal.line(line) }
  }
}
