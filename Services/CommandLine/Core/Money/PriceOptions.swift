public import ClusterModel
import Money
import Text

/// Options of `tutti prices set`, unchecked.
public struct PriceOptions: Sendable {
  var model: String
  var input: String
  var output: String
  /// Price of cached tokens. `nil` means that they cost as much as other tokens of the prompt.
  public var cachedInput: String?
  /// The host that is paid this price. `nil` means that clients pay the price.
  public var host: String?
  /// Start of the price, as a date in UTC. `nil` means now.
  public var from: String?

  public init(model: String, input: String, output: String) {
    self.model = model
    self.input = input
    self.output = output
  }

  /// The body of the request.
  ///
  /// - Throws: all mistakes at once, one per line.
  public func body() throws(ProcessFailure) -> RecordValue {
    var mistakes: [String] = []
    var body: [String: RecordValue] = ["model": .text(model)]
    for (option, member, text) in [
      ("input", "input", input), ("output", "output", output),
      ("cached-input", "cached_input", cachedInput),
    ] as [(String, String, String?)] {
      guard let text else { continue }
      do throws(AmountTextError) {
        body[member] = .text(try TokenPrice.parse(text).credits)
      } catch {
        mistakes.append(
          "--\(option): “\(text.cut(toBytes: 40))” is not a price per million tokens: \(error)")
      }
    }
    if let host { body["host"] = .text(host) }
    if let from {
      do throws(ProcessFailure) {
        body["effective_from_ms"] = .integer(
          Int(clamping: try PointInTime.milliseconds(from, option: "from")))
      } catch {
        mistakes.append(error.message)
      }
    }
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    return .object(body)
  }
}

/// The price that `tutti prices withdraw` names.
public struct PriceReference: Sendable {
  /// The query of the request, without a question mark.
  public let query: String

  /// - Parameters:
  ///   - host: the host that is paid the price. `nil` means that clients pay the price.
  ///   - from: start of the price, as a date in UTC.
  public init(model: String, host: String?, from: String) throws(ProcessFailure) {
    var parts = ["model=" + PathText.escaped(model)]
    if let host { parts.append("host=" + PathText.escaped(host)) }
    parts.append("effective_from_ms=\(try PointInTime.milliseconds(from, option: "from"))")
    query = parts.joined(separator: "&")
  }
}

/// Dates in options.
public enum PointInTime {
  /// - Returns: milliseconds since 1970.
  public static func milliseconds(
    _ text: String, option: String
  ) throws(ProcessFailure) -> Int64 {
    guard let date = UTCDate(text) else {
      throw ProcessFailure(
        .usage,
        "--\(option): “\(text.cut(toBytes: 40))” is not a date in UTC such as 2027-01-31 or "
          + "2027-01-31T12:00:00Z")
    }
    return date.milliseconds
  }
}

/// A price as the registry's admin API shows it.
public struct PriceRowText: Decodable, Hashable, Sendable {
  let model: String
  let host: String?
  let input: String
  let cachedInput: String
  let output: String
  /// Milliseconds since 1970.
  let effectiveFrom: Int64

  enum CodingKeys: String, CodingKey {
    case model, host, input, output
    case cachedInput = "cached_input"
    case effectiveFrom = "effective_from_ms"
  }

  public static func table(_ rows: [PriceRowText]) -> TextTable {
    var table = TextTable([
      ("model", .left), ("paid to", .left), ("input", .right), ("cached input", .right),
      ("output", .right), ("from", .left),
    ])
    for row in rows {
      table.append([
        row.model, row.host.map { "host \($0)" } ?? "(clients pay)", row.input, row.cachedInput,
        row.output, KeyTime.text(row.effectiveFrom),
      ])
    }
    return table
  }
}

/// Options of `tutti tariff set`, unchecked.
public struct TariffOptions: Sendable {
  public var unknownPrice: String?
  public var reservationFee: String?
  public var progressFee: String?
  public var perMilleOfWinner: Int?

  public init() {}

  /// Whether the options change a member of the payout rule, so that `body` needs the present rule.
  var changesRule: Bool {
    reservationFee != nil || progressFee != nil || perMilleOfWinner != nil
  }

  /// The body of the request.
  ///
  /// - Parameter rule: the present payout rule, whose other members stay.
  /// - Throws: all mistakes at once, one per line.
  public func body(present rule: TariffRow.Rule?) throws(ProcessFailure) -> RecordValue {
    var mistakes: [String] = []
    var body: [String: RecordValue] = [:]
    if let unknownPrice {
      if let mistake = KeyOptions.mistake(
        in: unknownPrice, of: UnknownPrice.self, option: "unknown-price", "a policy")
      {
        mistakes.append(mistake)
      }
      body["unknown_price"] = .text(unknownPrice)
    }
    for (option, text) in [("reservation-fee", reservationFee), ("progress-fee", progressFee)] {
      guard let text else { continue }
      do throws(AmountTextError) {
        _ = try TokenPrice.parse(text)
      } catch {
        mistakes.append("--\(option): “\(text.cut(toBytes: 40))” is not right: \(error)")
      }
    }
    if let share = perMilleOfWinner, !PayoutRule.shares.contains(share) {
      mistakes.append(
        "--per-mille-of-winner: \(share) is not from \(PayoutRule.shares.lowerBound) to "
          + "\(PayoutRule.shares.upperBound)")
    }
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    if changesRule, let rule {
      body["payout_rule"] = .object([
        "reservation_fee": .text(reservationFee ?? rule.reservationFee),
        "progress_fee_per_million": .text(progressFee ?? rule.progressFee),
        "per_mille_of_winner": .integer(perMilleOfWinner ?? rule.perMilleOfWinner),
      ])
    }
    guard !body.isEmpty else {
      throw ProcessFailure(
        .usage, "no property to change is named; name one, for example --unknown-price refuse")
    }
    return .object(body)
  }
}

/// The tariff as the registry's admin API shows it.
public struct TariffRow: Decodable, Hashable, Sendable {
  public struct Rule: Decodable, Hashable, Sendable {
    let reservationFee: String
    let progressFee: String
    let perMilleOfWinner: Int

    enum CodingKeys: String, CodingKey {
      case reservationFee = "reservation_fee"
      case progressFee = "progress_fee_per_million"
      case perMilleOfWinner = "per_mille_of_winner"
    }
  }

  let unknownPrice: String
  public let payoutRule: Rule

  enum CodingKeys: String, CodingKey {
    case unknownPrice = "unknown_price"
    case payoutRule = "payout_rule"
  }

  public var lines: [String] {
    var table = TextTable([("models without a price", .left), (unknownPrice, .left)])
    table.append(["reservation fee of a race", payoutRule.reservationFee])
    table.append(["progress fee per million tokens", payoutRule.progressFee])
    table.append(["most of the winner's pay, in thousandths", "\(payoutRule.perMilleOfWinner)"])
    return table.lines
  }
}
