/// Determines the pay of hosts for attempts that did not deliver the answer.
///
/// A race loser earns the reservation fee, and the progress fee for its tokens. The sum is at most
/// a share (η) of the winner's pay. A failed host earns the progress fee for the tokens that the
/// client received, up to the same maximum, and no reservation fee.
public struct PayoutRule: Hashable, Codable, Sendable {
  /// Fee for taking part in a race.
  public let reservationFee: MicroCredits
  /// Fee per million tokens, as in prices, because a micro-credit per token would exceed most
  /// prices.
  public let progressFee: MicroCredits
  /// The share η in thousandths, 100 … 200.
  public let perMilleOfWinner: Int

  public static let shares = 100...200

  /// - Throws: `MoneyError.invalidPrice` or `.invalidShare` for a value out of range.
  public init(
    reservationFee: MicroCredits, progressFee: MicroCredits, perMilleOfWinner: Int
  ) throws(MoneyError) {
    guard TokenPrice.isValid(reservationFee), TokenPrice.isValid(progressFee) else {
      throw .invalidPrice
    }
    guard Self.shares.contains(perMilleOfWinner) else { throw .invalidShare }
    self.reservationFee = reservationFee
    self.progressFee = progressFee
    self.perMilleOfWinner = perMilleOfWinner
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      reservationFee: members.decode(MicroCredits.self, forKey: .reservationFee),
      progressFee: members.decode(MicroCredits.self, forKey: .progressFee),
      perMilleOfWinner: members.decode(Int.self, forKey: .perMilleOfWinner))
  }

  /// Pay of each attempt of one answer, in the order of `attempts`. Every amount is rounded down.
  public func pay(for attempts: [BilledAttempt]) throws(MoneyError) -> [MicroCredits] {
    var pay: [MicroCredits] = []
    for attempt in attempts { pay.append(try attempt.deliveryPay()) }
    let cap = Int128(Self.winnersPay(attempts, pay).count) * Int128(perMilleOfWinner) / 1_000
    for (index, attempt) in attempts.enumerated() {
      let share: Int128
      switch attempt.role {
      case .winner, .continued, .fallback: continue
      case .loser: share = Int128(reservationFee.count) + progress(attempt.usage.completion)
      case .failed: share = progress(attempt.contributed)
      }
      // The amount is at most the winner's pay, which fits into 64 bits.
      pay[index] = MicroCredits(Int64(clamping: min(share, cap)))
    }
    return pay
  }

  /// Pay of the winner. Without a winner, the highest pay of a host that delivered, or zero.
  private static func winnersPay(
    _ attempts: [BilledAttempt], _ pay: [MicroCredits]
  ) -> MicroCredits {
    let winner = attempts.firstIndex { $0.role == .winner }
    return winner.map { pay[$0] } ?? pay.max() ?? .zero
  }

  private func progress(_ tokens: Int64) -> Int128 {
    Int128(tokens) * Int128(progressFee.count) / 1_000_000
  }
}
