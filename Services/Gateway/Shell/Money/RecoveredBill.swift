import Access
import BillingJournal
import ClusterModel
import GatewayCore
import Limits
import Money

/// The settlement of an answer that an earlier process left in the journal.
enum RecoveredBill {
  /// Makes the settlement of an entry.
  /// - Returns: `nil` if the entry's ids or prices are not valid. A gateway writes no such entry.
  static func settlement(of entry: BillingEntry) -> Settlement? {
    guard let lease = LeaseID(entry.request.leaseID), let key = KeyID(entry.request.keyID),
      let price = try? TokenPrice(
        input: entry.request.inputPrice, cachedInput: entry.request.cachedInputPrice,
        output: entry.request.outputPrice)
    else { return nil }
    let id = EntryID(entry.request.id)
    let completion = Usage.bounded(entry.completionTokens)
    var answers: [SettledAnswer] = []
    // An answer without an end costs nothing if no part of it reached the client.
    if completion > 0 || entry.billed ?? .zero > .zero {
      let usage = TokenUsage(
        Usage(
          promptTokens: entry.promptTokens, cachedTokens: entry.cachedTokens,
          completionTokens: completion))
      answers = [SettledAnswer(usage: usage, attempts: attempts(entry, usage, completion))]
    }
    // A recorded bill has priority. The journal's price is the highest of all models, and the tasks
    // of a plan may have had lower prices.
    let cost =
      entry.billed ?? answers.first.flatMap { try? price.cost(of: $0.usage) } ?? .zero
    return Settlement(
      lease: LeaseSettlement(
        lease: lease, key: .key("\(key)"), number: entry.settlement, request: id?.request ?? 0,
        hold: entry.request.hold, billed: min(cost, entry.request.hold)),
      trace: id?.trace ?? "", model: entry.request.model, admittedAt: entry.request.admittedAt,
      price: price, answers: answers)
  }

  private static func attempts(
    _ entry: BillingEntry, _ usage: TokenUsage, _ completion: Int
  ) -> [SettledAttempt] {
    var rest = completion
    var hasWinner = false
    return entry.hosts.map { host in
      let contributed = min(Usage.bounded(host.contributed), rest)
      rest -= contributed
      let made = max(Usage.bounded(host.made), contributed)
      // A damaged entry may have two winners, but an answer has only one.
      let role = host.role == .winner && hasWinner ? .continued : host.role
      hasWinner = hasWinner || role == .winner
      return SettledAttempt(
        host: host.host, model: host.model ?? entry.request.model,
        usage: role.usage(in: usage, made: Int64(made)), contributed: Int64(contributed),
        role: role)
    }
  }

  /// Id of an entry, which consists of the gateway's number of the request and the request's trace.
  struct EntryID: CustomStringConvertible {
    let request: UInt64
    let trace: String

    init(request: UInt64, trace: String) {
      self.request = request
      self.trace = trace
    }

    /// Parses a description. `nil` means that the text is no description of an id.
    init?(_ text: String) {
      let parts = text.split(separator: "/", maxSplits: 1)
      guard parts.count == 2, let request = UInt64(parts[0]) else { return nil }
      self.request = request
      trace = String(parts[1])
    }

    var description: String { String(request) + "/" + trace }
  }
}
