import Access
import ClusterModel
import GatewayCore
import HTTPTypes
import HostModel
import Hummingbird
import InferenceCore
import Limits
import Money
import NIOCore
import ServiceKit
import Telemetry

/// One request while it is answered.
struct Exchange: Sendable {
  let request: ClientRequest
  let journal: RequestJournal
  /// The request's resources, which are held until the answer is sent.
  let reservation: RequestReservation
  /// The gateways that the request passed through. This gateway is the last.
  let hops: [String]
  /// The client's headers that are forwarded to the host.
  let headers: [(name: String, value: String)]
  let seed: UInt64
  /// Rights of the client's key.
  let rights: KeyRights
  /// The client's tag, by which dispatchers share capacity fairly.
  let client: String
  let ingress: OpenSpan
  /// The request's hold of money. `nil` means that the request costs nothing, or that nothing runs.
  var payment: Payment?
  /// Prices of the models that may answer, also if all are free. `nil` means that the request needs
  /// no key.
  var price: RequestPrice?
  /// Tokens of a plan that the key can pay. `nil` means no limit.
  var planTokens: Int?
  /// The hold that pays these tokens, if it pays less than the longest plan. In a preview, its
  /// money is already free again. `nil` means that the money does not shorten the plan.
  var shortHold: MicroCredits?

  /// Id of the client's key. `nil` means that the request needs none.
  var key: KeyID? { rights.keyID }

  var trace: TraceContext { journal.trace }

  /// The costs as the client may read them. The hosts' prices are the operator's, so a key needs
  /// the scope `logs` for them, as for the records of all requests.
  func shown(_ costs: HostCosts) -> HostCosts { showsHostPrices ? costs : costs.withoutCosts }

  /// The attempts as the client may read them.
  func shown(_ attempts: [AttemptFacts]) -> [AttemptFacts] {
    showsHostPrices ? attempts : attempts.map(\.withoutPrices)
  }

  private var showsHostPrices: Bool {
    guard let key = rights.key else { return true }
    return key.refusal(of: AccessNeed(.logs)) == nil
  }

  /// The same request with its prices and its hold of money.
  func paid(by payment: Payment?, at price: RequestPrice?) -> Exchange {
    var paid = preview(of: payment, at: price)
    paid.payment = payment
    return paid
  }

  /// The same request with the prices and the tokens that it would have. No money is held for it.
  func preview(of payment: Payment?, at price: RequestPrice?) -> Exchange {
    var preview = self
    preview.price = price
    preview.planTokens = payment?.tokens
    preview.shortHold = payment.flatMap { $0.isCut ? $0.hold : nil }
    return preview
  }

  /// Embedding models that the key allows inside a plan.
  func embedders(in hosts: HostView) -> [ModelID] {
    rights.allowed(
      hosts.embeddingModels(policy: request.options.dataPolicy, pools: rights.pools))
  }

  /// The operator's models for the request's plan. Empty if the operator chose none or the client
  /// names models itself.
  func chosenPlanModels(_ choices: ModelChoices, in table: HostTable) -> [ModelID] {
    guard request.options.models.isEmpty, let plans = choices.plans else { return [] }
    return table.models(of: plans)
  }

  /// The models from which the request's plan chooses, the best one first. `nil` means all that are
  /// available.
  /// - Throws: `noEligibleHost` if the operator's models are not available.
  func planModels(
    _ choices: ModelChoices, from available: [ModelID], in table: HostTable
  ) throws(Failure) -> [ModelID]? {
    guard request.options.models.isEmpty else { return nil }
    return try choices.planModels(from: available, in: table, rights)
  }

  /// Why no host can answer a request that names no model.
  func noHost(in view: ClusterView) -> Failure {
    let constraints = InferenceConstraints(
      dataPolicy: request.options.dataPolicy, pools: rights.pools, seed: seed)
    let eligibility = Eligibility(model: nil, constraints: constraints, view: view)
    guard eligibility.isEmpty || !rights.limitsModels else { return noAllowedModel }
    return Failure(.noEligibleHost, eligibility.explanation(model: nil))
  }

  /// The failure if hosts can answer, but none of them has a model that the key allows.
  var noAllowedModel: Failure {
    Failure(
      .permissionDenied,
      "No host \(rights.pools.condition)serves a chat model that the key allows now; "
        + "GET /v1/models lists its models.",
      param: "model")
  }

  /// Returns the summary with counts that bills, limits and records use. A host cannot inflate
  /// these counts.
  func credible(_ summary: InferenceSummary) -> InferenceSummary {
    if let payment { return payment.credible(summary) }
    var summary = summary
    summary.usage = request.credible(summary.usage)
    return summary
  }

  /// Returns the tokens of a plan for limits and records. A host cannot inflate these counts.
  /// - Parameter written: tokens of the answer that the client received.
  func usage(of trace: PlanTrace, written: Int = 0) -> Usage {
    (payment?.bounds ?? RequestBounds(plan: request))
      .credible(trace, written: written, tokens: payment?.tokens)
  }

  /// Tokens and costs of the hosts of a plan, with counts that a host cannot inflate.
  /// - Parameters:
  ///   - written: tokens of the answer that the client received.
  ///   - table: hosts with their prices.
  func hostCosts(of trace: PlanTrace, written: Int = 0, table: HostTable) -> HostCosts {
    let bounds = payment?.bounds ?? RequestBounds(plan: request)
    return HostCosts(plan: trace, model: request.model, written: written, table: table) {
      bounds.credible($0, of: trace.plan, tokens: payment?.tokens)
    }
  }

  /// Returns a JSON response. The bytes of a body larger than `Limits.heavyBytes` stay charged to
  /// the request until they are written to the client. A smaller body is not charged.
  /// - Parameter bill: the bill to settle after the body is written. `nil` means none.
  func response(_ body: [UInt8], bill: RequestBill? = nil) throws(Failure) -> Response {
    guard body.count > Limits.heavyBytes.value || payment != nil else {
      return Response(json: body, trace)
    }
    if body.count <= Limits.heavyBytes.value, let connection = ClientConnection.current {
      var response = Response(json: body, traceText: payment?.trace ?? trace.trace.description)
      setCost(bill, in: &response.headers)
      if let bill, let payment { connection.afterAnswer { payment.settle(bill) } }
      return response
    }
    try reservation.charge(body.count)
    var response = Response(json: [], trace)
    setCost(bill, in: &response.headers)
    response.body = ResponseBody(contentLength: body.count) { writer in
      var start = 0
      while start < body.count {
        let end = min(start + Limits.heavyBytes.value, body.count)
        try await writer.write(ByteBuffer(bytes: body[start..<end]))
        // A client that leaves before the end of the body pays for the part that it received.
        if end < body.count, let bill {
          payment?.wrote(bill.completion(inFirst: end, of: body.count))
        }
        start = end
      }
      if let bill { payment?.settle(bill) }
      try await writer.finish(nil)
      withExtendedLifetime(self) {}
    }
    return response
  }

  private func setCost(_ bill: RequestBill?, in headers: inout HTTPFields) {
    if let bill { headers[.cost] = bill.billed.credits }
    headers.set(payment?.cut)
  }
}
