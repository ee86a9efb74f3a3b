import BillingJournal
import ClusterModel
import GatewayCore
import InferenceCore
import Money
import Synchronization
import Telemetry

/// One admitted request with its hold of money, until it is settled.
///
/// The client pays for tokens that were written to its socket. If the request was not settled
/// before, deinit settles it for the tokens written so far.
final class Payment: Sendable {
  let hold: MicroCredits
  let price: RequestPrice
  /// Maximum tokens of one answer, or of a plan. `nil` means no limit.
  let tokens: Int?
  /// Whether the hold pays for less than the longest possible answer.
  let isCut: Bool
  /// The tokens and the budget of an answer for which `isCut` is `true`.
  let cut: BudgetCut?
  private let spending: Spending
  private let request: UInt64
  /// Model of the request. The bill names it for a plan, or if no host has answered.
  private let model: ModelID
  /// Id of the request's trace, as text.
  let trace: String
  /// Hosts at the time of the admission.
  private let table: HostTable
  let bounds: RequestBounds
  private let state: Mutex<State>

  private struct State: ~Copyable {
    /// The request's entry in the journal. `nil` means that the gateway has no journal, or that the
    /// request is settled.
    var entry: OpenBill?
    /// Tokens of the prompt. They are an estimate, and none is cached, until a host has reported
    /// them at the end of its answer.
    var prompt: Usage
    /// Whether the journal has these tokens of the prompt. They are recorded with the first token of
    /// the answer, because a request without one costs nothing.
    var isPromptRecorded = false
    var delivered = DeliveredAnswer()
    /// The host that answers now, with its own name of the model, if it has delivered no token. The
    /// journal gets its row with the first token.
    var next: (host: HostID, model: ModelID)?
    /// The journal's row of the host that answers now. `nil` means that the host has delivered no
    /// token, or that the journal has no room for it.
    var host: BilledHost?
    /// The journal's row of the host that broke off. `nil` after the next host has delivered a
    /// token.
    var former: BilledHost?
    var isSettled = false
  }

  /// Waits for money, and records the request in the journal.
  ///
  /// - Parameters:
  ///   - key: id of the key that pays.
  ///   - isPlan: whether a plan answers the request.
  init(
    _ spending: Spending, key: String, model: ModelID, trace: TraceID, price: RequestPrice,
    bounds: RequestBounds, isPlan: Bool, table: HostTable
  ) async throws(Failure) {
    let cost = isPlan ? bounds.planCost(at: price.highest) : bounds.cost(at: price.highest)
    let hold = try await spending.hold(cost, for: .key(key))
    self.spending = spending
    self.hold = hold.amount
    self.price = price
    self.model = model
    let trace = trace.description
    self.trace = trace
    request = hold.request
    self.table = table.withoutLists()
    self.bounds = bounds
    let tokens =
      isPlan
      ? bounds.planTokens(for: hold.amount, at: price.highest)
      : bounds.answerTokens(for: hold.amount, at: price.highest)
    self.tokens = tokens
    let isCut = hold.amount < cost.worst
    self.isCut = isCut
    cut = isCut ? tokens.map { BudgetCut(tokens: $0, ceiling: hold.ceiling) } : nil
    var entry: OpenBill?
    var problem: Failure?
    do throws(BillingRefusal) {
      entry = try spending.journal?.begin(
        BilledRequest(
          id: RecoveredBill.EntryID(request: hold.request, trace: trace).description,
          keyID: key, leaseID: hold.leaseText, model: model,
          admittedAt: price.admittedAt, inputPrice: price.highest.input,
          cachedInputPrice: price.highest.cachedInput, outputPrice: price.highest.output,
          hold: hold.amount))
    } catch {
      problem = Failure(
        .overloaded,
        "The gateway's billing journal takes no more requests (\(error)); ask again later.",
        retryAfter: .seconds(1))
    }
    state = Mutex(
      State(entry: entry, prompt: Usage(promptTokens: bounds.prompt, completionTokens: 0)))
    // The hold is returned when deinit settles this request.
    if let problem { throw problem }
  }

  deinit {
    if state.withLock({ $0.isSettled }) { return }
    settle(partBill)
  }

  /// The bill of a direct answer for the tokens that were written so far.
  private var partBill: RequestBill {
    let (delivered, prompt) = state.withLock { ($0.delivered, $0.prompt) }
    return RequestBill(
      delivered, of: model, prompt: prompt.promptTokens, cached: prompt.cachedTokens,
      price: price, hold: hold)
  }

  /// The client's charge for a direct answer if it ends now.
  var billedSoFar: MicroCredits { partBill.billed }

  /// Records the host that begins or resumes the answer.
  func began(by host: InferenceOpening) {
    began(by: host.host, host.model, as: host.hostModel, tier: host.tier)
  }

  /// Records the host that begins or resumes the answer of a plan.
  func began(by began: TaskBegan) {
    self.began(
      by: began.host, began.model, as: table.hostModel(of: began.model, at: began.host),
      tier: table.host(began.host)?.tier ?? .community)
  }

  private func began(
    by host: HostID, _ model: ModelID, as hostModel: ModelID, tier: HostTier
  ) {
    state.withLock { state in
      // Only a host that has delivered a token has a row.
      if let row = state.host { state.former = row }
      state.delivered.begin(by: host, model, as: hostModel, tier: tier)
      state.host = nil
      state.next = (host, hostModel)
    }
  }

  /// Records all tokens that were written to the client's socket so far.
  func wrote(_ tokens: Int) {
    // A host is not paid for more tokens than it was asked for.
    let tokens = min(tokens, bounds.mostCompletion(tokens: self.tokens))
    state.withLock { state in
      guard tokens > state.delivered.tokens else { return }
      state.delivered.wrote(tokens)
      if !state.isPromptRecorded {
        state.isPromptRecorded = true
        state.entry?.record(
          promptTokens: state.prompt.promptTokens, cachedTokens: state.prompt.cachedTokens)
      }
      if let next = state.next.take() {
        let role = state.delivered.role ?? .winner
        state.host = state.entry?.addHost(next.host, next.model, role)
      }
      let host = state.host
      if let former = state.former.take(), former != host {
        state.entry?.setRole(.failed, of: former)
      }
      let made = state.delivered.tokensOfHost
      state.entry?.record(
        completionTokens: state.delivered.tokens, made: made, contributed: made, by: host)
    }
  }

  /// Returns the summary with the counts that are billed.
  func credible(_ summary: InferenceSummary) -> InferenceSummary {
    bounds.credible(summary, tokens: tokens)
  }

  /// The bill of an answer that the client receives as a whole.
  ///
  /// The prompt's counts replace the estimate, so that a client that leaves amid the body does not
  /// pay more for the prompt than a client that stays.
  /// - Parameter summary: summary with credible counts.
  func bill(_ summary: InferenceSummary) -> RequestBill {
    let bill = RequestBill(summary, price: price, hold: hold, paidPrompt: bounds.paidPrompt)
    var usage = summary.usage
    if let paid = bill.answers.first?.usage { usage.limitPrompt(to: Int(clamping: paid.prompt)) }
    let prompt = usage
    state.withLock { state in
      state.prompt = prompt
      state.isPromptRecorded = false
    }
    return bill
  }

  /// The bill of a plan that the client receives as a whole.
  func bill(_ trace: PlanTrace) -> RequestBill {
    bill(trace, written: nil)
  }

  private func bill(_ trace: PlanTrace, written: Int?) -> RequestBill {
    RequestBill(
      plan: trace, model: model, written: written, price: price, hold: hold,
      paidPrompt: bounds.paidPromptOfPlan(tokens: tokens), table: table
    ) { bounds.credible($0, of: trace.plan, tokens: tokens) }
  }

  /// Settles a plan whose streamed answer broke off. A client that received no text pays nothing.
  /// - Returns: the client's charge.
  @discardableResult
  func settle(streamed trace: PlanTrace) -> MicroCredits {
    let written = state.withLock { $0.delivered.tokens }
    guard written > 0 else { return .zero }
    let bill = bill(trace, written: written)
    settle(bill)
    return bill.billed
  }

  /// Frees the money of a request that takes no token.
  func release() {
    settle(RequestBill(DeliveredAnswer(), of: model, prompt: 0, price: price, hold: hold))
  }

  /// Settles the request. Later calls do nothing.
  func settle(_ bill: RequestBill) {
    let answers = bill.answers.withHostPrices(of: table)
    state.withLock { state in
      guard !state.isSettled else { return }
      state.isSettled = true
      let entry = state.entry.take()
      let (price, trace) = (price, trace)
      spending.settle(request, billed: bill.billed, entry, bill.unconfirmed) { lease in
        Settlement(
          lease: lease, trace: trace, model: bill.model, admittedAt: price.admittedAt,
          price: price.price(of: bill.model), answers: answers)
      }
    }
  }
}
