import BillingJournal
import ClusterModel
import GatewayCore
import Limits
import Money

extension RequestBill {
  /// The bill for the journal. The tokens of all answers of a plan are added up, so that each host
  /// and model has one row.
  var unconfirmed: UnconfirmedBill {
    var (prompt, cached, completion) = (0, 0, 0)
    var hosts: [HostTokens] = []
    for answer in answers {
      prompt = prompt.addingCapped(Int(clamping: answer.usage.prompt))
      cached = cached.addingCapped(Int(clamping: answer.usage.cached))
      completion = completion.addingCapped(Int(clamping: answer.usage.completion))
      for attempt in answer.attempts { Self.add(attempt, to: &hosts) }
    }
    // The journal has a limited number of rows, so the most important roles come first.
    if hosts.count > 1 { hosts.sort { $0.role.rank < $1.role.rank } }
    return UnconfirmedBill(
      billed: billed, promptTokens: prompt, cachedTokens: cached, completionTokens: completion,
      hosts: hosts)
  }

  private static func add(_ attempt: SettledAttempt, to hosts: inout [HostTokens]) {
    let index = hosts.firstIndex { $0.host == attempt.host && $0.model == attempt.model }
    let earlier = index.map { hosts[$0] }
    var role = attempt.role
    // An answer can have only one winner.
    if role == .winner, hosts.contains(where: { $0.role == .winner }) { role = .continued }
    if let earlier, earlier.role.rank < role.rank { role = earlier.role }
    let tokens = HostTokens(
      host: attempt.host, model: attempt.model, role: role,
      made: (earlier?.made ?? 0).addingCapped(Int(clamping: attempt.usage.completion)),
      contributed: (earlier?.contributed ?? 0).addingCapped(Int(clamping: attempt.contributed)))
    if let index { hosts[index] = tokens } else { hosts.append(tokens) }
  }
}

extension BilledAttempt.Role {
  /// Priority of the role. If one host has two roles, the role with the lower rank counts.
  fileprivate var rank: Int {
    switch self {
    case .winner: 0
    case .fallback, .continued: 1
    case .failed: 2
    case .loser: 3
    }
  }
}
