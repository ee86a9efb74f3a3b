import BillingJournal
import ClusterModel
import GatewayCore
import Limits
import Money

extension RequestBill {
  /// The bill for the journal. Answers of a plan are added up, and hosts that lost a race are left
  /// out.
  var unconfirmed: UnconfirmedBill {
    var (prompt, cached, completion) = (0, 0, 0)
    var hosts: [HostTokens] = []
    for answer in answers {
      prompt = prompt.addingCapped(Int(clamping: answer.usage.prompt))
      cached = cached.addingCapped(Int(clamping: answer.usage.cached))
      completion = completion.addingCapped(Int(clamping: answer.usage.completion))
      for attempt in answer.attempts {
        switch attempt.role {
        case .loser, .failed: continue
        case .winner, .continued, .fallback: break
        }
        let index = hosts.firstIndex { $0.host == attempt.host }
        let earlier = index.map { hosts[$0] }
        let tokens = HostTokens(
          host: attempt.host,
          made: (earlier?.made ?? 0).addingCapped(Int(clamping: attempt.usage.completion)),
          contributed: (earlier?.contributed ?? 0)
            .addingCapped(Int(clamping: attempt.contributed)))
        if let index { hosts[index] = tokens } else { hosts.append(tokens) }
      }
    }
    return UnconfirmedBill(
      billed: billed, promptTokens: prompt, cachedTokens: cached, completionTokens: completion,
      hosts: hosts)
  }
}
