import Access
import Bus
import ClusterModel
import Foundation
import GatewayCore
import HTTPTypes
import HostModel
import Hummingbird
import Inference
import InferenceCore
import Limits
import Logging
import Money
import Overload
import OverloadCore
import ServiceKit
import ServiceLifecycle
import Telemetry
import Text

/// The I/O around GatewayCore. It receives requests, lets a host or a plan answer them, and refuses
/// requests that fail before an answer begins.
final class GatewayShell: Service {
  let resources: GatewayResources
  private let admission: Admission
  var pace: AnswerPace { admission.pace }
  /// Limits the rate at which refused requests are recorded.
  private let refusals = RateGate(
    every: .milliseconds(Limits.refusalPause.value), burst: Limits.recordedRefusals.value)
  private let brokenAnswers: BrokenAnswerLog

  init(_ resources: GatewayResources) {
    self.resources = resources
    brokenAnswers = BrokenAnswerLog(logger: resources.context.logger)
    let configuration = resources.configuration
    admission = Admission(
      ClientShares(
        total: configuration.maximumRequests, remote: configuration.remoteShare,
        local: configuration.localShare),
      memory: resources.memory, logger: resources.context.logger)
    resources.context.settings.onChange { [admission] in admission.apply($0) }
  }

  /// Waits for shutdown. Just before the drain ends, open answers fail. Then the connections to
  /// hosts are closed.
  func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.endAnswersInTime() }
      // The HTTP server shuts down first, so it has ended when this call returns.
      try? await gracefulShutdown()
      group.cancelAll()
    }
    try await resources.inference.shutdown()
  }

  private func endAnswersInTime() async {
    await resources.context.health.drainBegins()
    let drain = resources.context.common.drain
    try? await Task.sleep(for: drain - InFlightAnswers.margin(of: drain))
    if resources.context.health.isDraining { resources.answers.endAll() }
  }

  // MARK: - Routes

  func addRoutes(to router: Router<BasicRequestContext>) {
    for endpoint in InferenceEndpoint.allCases {
      router.post(RouterPath(endpoint.rawValue)) { request, _ in
        try await self.handle(request, endpoint, for: endpoint.scope, self.answer)
      }
    }
    router.post(RouterPath(PlanPreview.path)) { request, _ in
      try await self.handle(
        request, .chatCompletions, as: PlanPreview.path, for: .plans, self.preview)
    }
    router.get("/v1/models") { request, _ in
      await self.list(request) { rights, table throws(Failure) in ModelList.list(table, rights) }
    }
    addUsage(to: router)
    // A model id may contain slashes: `tutti/fast`, `org/model`.
    router.get("/v1/models/**") { request, _ in
      let path = request.uri.path.removingPercentEncoding ?? request.uri.path
      let name = String(path.dropFirst("/v1/models/".count))
      let choices = self.resources.models.value
      return await self.list(request) { rights, table throws(Failure) in
        try ModelList.model(name, table, rights, choices: choices)
      }
    }
  }

  /// Assumed bytes of one model in the list of models. They measure the work for the list.
  private static let listedModelBytes = 256

  /// Answers a request for the list of models or for one model. Any valid key allows it.
  private func list(
    _ request: Request,
    _ answer: @escaping @Sendable (KeyRights, HostTable) throws(Failure) -> JSON
  ) async -> Response {
    await answered(request) { key in
      let (rights, table) = (KeyRights(key), resources.context.hosts.table)
      let work = table.offerCount.multipliedCapped(by: Self.listedModelBytes)
      return try await resources.heavily(work, tag(of: request, key)) { () throws(Failure) in
        try answer(rights, table).encoded
      }
    }
  }

  /// Answers a request that any valid key may make and that counts against no limit.
  ///
  /// - Parameter body: makes the JSON of the answer.
  func answered(
    _ request: Request, _ body: (KeyRecord?) async throws -> [UInt8]
  ) async -> Response {
    let trace = TraceContext.fresh()
    do {
      let key = try resources.context.keys.check(request, for: AccessNeed())
      return try Response(json: try await body(key), trace, chargedTo: resources.memory)
    } catch let failure as Failure {
      return refusal(failure, trace)
    } catch {
      return refusal(Failure(.internalError, "\(error)"), trace)
    }
  }

  /// The tag of the client of a request without a body.
  func tag(of request: Request, _ key: KeyRecord?) -> String {
    let client = ClientConnection.current?.client ?? .local
    return ClientTag.tag(
      key: key?.id.description, authorization: request.headers[.authorization],
      address: client == .local ? nil : "\(client)")
  }

  /// Reads and checks a request, and turns every `Failure` into a response.
  /// - Parameters:
  ///   - path: the route's path. `nil` means the endpoint's path.
  ///   - scope: the scope that the client's key must have.
  ///   - respond: answers the checked request.
  private func handle(
    _ request: Request, _ endpoint: InferenceEndpoint, as path: String? = nil,
    for scope: AccessScope, _ respond: (Exchange, GatewayRoute) async throws -> Response
  ) async throws -> Response {
    let journal = RequestJournal(
      path ?? endpoint.rawValue, recorder: resources.context.recorder, refusals: refusals,
      brokenAnswers: brokenAnswers)
    var rights = KeyRights()
    do {
      let ingress = journal.phase(.ingress)
      // The key is checked first, so that a client without a key costs neither memory nor a slot.
      rights = KeyRights(try resources.context.keys.grant(request, for: AccessNeed(scope)))
      journal.record(key: rights.grant?.idText)
      try resources.keys.check(rights)
      let reservation = try admission.admit(key: rights.keyID)
      let hops = try hops(of: request)
      let client = ClientTag.tag(
        key: rights.grant?.idText, authorization: request.headers[.authorization],
        address: reservation.address)
      let upload = BodyUpload(request: request, reservation: reservation)
      let body = try await upload.receive(for: client, on: resources.heavyWork)
      try await reservation.takeTurn()
      try reservation.takeSlot()
      let policy = rights.weakestPolicy
      let parsed = try await resources.heavily(body.count, client) { () throws(Failure) in
        try ClientRequest(
          parsing: body, endpoint: endpoint,
          defaultModel: self.resources.models.value.requests, defaultPolicy: policy)
      }
      journal.record(parsed)
      ingress.set("bytes", String(parsed.body.count))
      let use = try resources.keys.admit(rights, tokens: parsed.expectedTokens)
      journal.record(use)
      let exchange = Exchange(
        request: parsed, journal: journal, reservation: reservation, hops: hops,
        headers: forwarded(request.headers),
        seed: parsed.options.seed ?? .random(in: .min ... .max),
        rights: rights, client: client, ingress: ingress)
      return limited(try await respond(exchange, try route(exchange)), by: rights)
    } catch let failure as Failure {
      return limited(refusal(resources.answers.explained(failure), journal), by: rights)
    } catch {
      // Either the connection broke during the upload, or this is a bug. The server makes the
      // response.
      journal.end(status: 500, Failure(.internalError, ""))
      throw error
    }
  }

  /// The response with the limits of the request's key in place of those of a host.
  private func limited(_ response: Response, by rights: KeyRights) -> Response {
    guard rights.grant != nil else { return response }
    var response = response
    response.headers.removeHostLimits()
    response.headers.set(resources.keys.headers(for: rights))
    return response
  }

  private func answer(_ exchange: Exchange, _ route: GatewayRoute) async throws -> Response {
    switch route {
    case .direct(let model), .gated(let model, _):
      var model = try model ?? allowedModel(exchange)
      let (payment, price) = try await payment(for: exchange, &model)
      exchange.journal.recordAdmission()
      exchange.journal.recordAsking()
      return try await DirectAnswer(resources, exchange.paid(by: payment, at: price), model)
        .response()
    case .plan(let pattern):
      var model: ModelID?
      let (payment, price) = try await payment(for: exchange, &model, isPlan: true)
      exchange.journal.recordAdmission()
      return try await PlanAnswer(
        resources, exchange.paid(by: payment, at: price), pattern: pattern
      ).response()
    }
  }

  /// `POST /v1/plans`: returns the plan for a request, or the reason for a direct answer, and the
  /// estimated cost.
  ///
  /// The plan is the one that would run now, so it is limited by the same prices and by the money
  /// that the key can spend.
  private func preview(_ exchange: Exchange, _ route: GatewayRoute) async throws -> Response {
    let preview: JSON
    switch route {
    case .direct(let model):
      preview = try await directPreview(
        exchange, model, reason: PlanPreview.reason(directlyBy: exchange.request.model))
    case .gated(let model, let reason):
      preview = try await directPreview(exchange, model, reason: reason)
    case .plan(let pattern):
      let exchange = try await previewed(exchange, nil, isPlan: true)
      let running = try await PlanAnswer(resources, exchange, pattern: pattern).make()
      let plan = running.read(\.plan)
      let figures = PlanFigures(
        of: plan, for: exchange.request, hosts: running.hosts, price: exchange.price,
        correction: running.correction)
      preview = PlanPreview.json(plan, figures, correction: running.correction)
    }
    exchange.journal.end(status: 200)
    return Response(json: preview.encoded, exchange.trace)
  }

  private func directPreview(
    _ exchange: Exchange, _ model: ModelID?, reason: String
  ) async throws -> JSON {
    let model = try model ?? allowedModel(exchange)
    let exchange = try await previewed(exchange, model, isPlan: false)
    let hosts = resources.inference.view().hosts(for: ClientFingerprint(tag: exchange.client))
    let named = model.map { [$0] } ?? []
    let (facts, _) = resources.estimates.facts(
      hosts.facts(
        policy: exchange.request.options.dataPolicy, pools: exchange.rights.pools, named: named,
        models: model == nil ? .all : AllowedModels(named)))
    let figures = PlanFigures(
      directlyFor: exchange.request, model: model, hosts: facts, price: exchange.price)
    return PlanPreview.direct(reason: reason, figures)
  }

  /// The exchange of a preview. The money of the request is held only while the gateway determines
  /// how much the key can pay, and is free again before the planner is asked.
  private func previewed(
    _ exchange: Exchange, _ model: ModelID?, isPlan: Bool
  ) async throws(Failure) -> Exchange {
    var model = model
    let (payment, price) = try await payment(for: exchange, &model, isPlan: isPlan)
    payment?.release()
    exchange.journal.recordAdmission()
    return exchange.preview(of: payment, at: price)
  }

  /// Chooses the route. A direct request has no ingress and gate spans, because these phases are
  /// too short.
  private func route(_ exchange: Exchange) throws(Failure) -> GatewayRoute {
    let journal = exchange.journal
    let gate = exchange.request.model.name == GatewayRouting.auto ? journal.phase(.gate) : nil
    let route = try GatewayRouting.route(
      exchange.request, table: resources.context.hosts.table, rights: exchange.rights,
      choices: resources.models.value)
    try exchange.rights.check(exchange.request, route)
    switch route {
    case .direct: return route
    case .gated(_, let reason):
      journal.recordReason(reason)
      gate?.set("decision", Plan.direct)
      gate?.set("reason", reason)
    case .plan(let pattern):
      journal.recordPattern(pattern)
      gate?.set("decision", "the planner's")
    }
    exchange.ingress.end()
    gate?.end()
    return route
  }

  /// Waits for the money that the request may cost.
  ///
  /// - Parameter model: `nil` means any chat model. If no plan answers and only some chat models
  ///   have a price, `model` is set to one of these.
  /// - Returns: the hold of the money, and the prices. Without a hold, none is needed, because no
  ///   key is required or all models that may answer are free. Without prices, no key is required.
  private func payment(
    for exchange: Exchange, _ model: inout ModelID?, isPlan: Bool = false
  ) async throws(Failure) -> (Payment?, RequestPrice?) {
    guard let key = exchange.rights.grant else { return (nil, nil) }
    let table = resources.context.hosts.table.limited(to: exchange.rights.pools)
    var models: [ModelID]
    var embedders: [ModelID] = []
    if let model {
      models = [model]
    } else {
      let view = resources.inference.view()
      let hosts = view.hosts(for: ClientFingerprint(tag: exchange.client))
      let options = exchange.request.options
      let choices = resources.models.value
      let chosen = isPlan ? exchange.chosenPlanModels(choices, in: view.table) : []
      models = exchange.rights.allowed(
        hosts.chatModels(
          policy: options.dataPolicy, pools: exchange.rights.pools,
          named: options.models + exchange.rights.namedModels + chosen))
      // Without models, no price is known. A host may become ready a moment later, and the request
      // must not run there without a price.
      guard !models.isEmpty else { throw exchange.noHost(in: view) }
      if isPlan {
        models = try exchange.planModels(choices, from: models, in: view.table) ?? models
        embedders = exchange.embedders(in: hosts)
      }
    }
    let price = try RequestPrice(
      of: models, embedders: embedders, in: resources.spending.priceTable(),
      at: UnixTime.milliseconds())
    if isPlan { try price.check(named: exchange.request.options.models, of: models) }
    if !isPlan, model == nil, !models.allSatisfy(price.has) {
      model = models.first(where: price.has)
    }
    guard !price.isFree else { return (nil, price) }
    let payment = try await Payment(
      resources.spending, key: key.idText, model: model ?? exchange.request.model,
      trace: exchange.trace.trace, price: price,
      bounds: isPlan
        ? RequestBounds(plan: exchange.request)
        : exchange.request.bounds(models: models, table: table),
      isPlan: isPlan, table: table)
    exchange.journal.recordPayment()
    return (payment, price)
  }

  /// Chooses a model for a request that names none, if its key allows only some models. `nil` means
  /// any chat model.
  private func allowedModel(_ exchange: Exchange) throws(Failure) -> ModelID? {
    guard exchange.rights.limitsModels else { return nil }
    let hosts = resources.inference.view().hosts(for: ClientFingerprint(tag: exchange.client))
    // An alias counts only if it is named, and a key may allow only an alias.
    let chat = hosts.chatModels(
      policy: exchange.request.options.dataPolicy, pools: exchange.rights.pools,
      named: exchange.rights.namedModels)
    guard let model = exchange.rights.allowed(chat).first else { throw exchange.noAllowedModel }
    return model
  }

  private func forwarded(_ headers: HTTPFields) -> [(name: String, value: String)] {
    resources.configuration.forwardedHeaders.select { name in
      HTTPField.Name(name).flatMap { headers[$0] }
    }
  }

  // MARK: - Hops

  /// This gateway's name in the hop header, used to detect loops.
  private var ownHop: String { resources.context.bus.peer.id.description }

  /// The gateways that the request passed through. This gateway is the last.
  private func hops(of request: Request) throws(Failure) -> [String] {
    let header = HTTPField.Name(HopHeader.name)!
    let hops = request.headers[values: header].flatMap(HopHeader.parse)
    guard !hops.contains(ownHop) else {
      throw Failure(
        .hopLoop, "this gateway sent the request itself: one of its hosts leads back to it")
    }
    guard hops.count < HopHeader.maximumHops else {
      throw Failure(
        .hopLoop,
        "the request passed through \(hops.count) gateways; the maximum is "
          + "\(HopHeader.maximumHops)")
    }
    return hops + [ownHop]
  }

  // MARK: - Responses

  private func refusal(_ failure: Failure, _ journal: RequestJournal) -> Response {
    let response = refusal(failure, journal.trace)
    journal.end(status: response.status.code, failure)
    return response
  }

  func refusal(_ failure: Failure, _ trace: TraceContext) -> Response {
    resources.context.logger.debug(
      "refused a request",
      metadata: [
        LogKey.trace: "\(trace.trace)", LogKey.code: "\(failure.code)",
        LogKey.reason: "\(failure.message)",
      ])
    var response = jsonError(failure)
    response.headers[.gatewayTrace] = "\(trace.trace)"
    response.headers.pass(failure.refusal?.headers ?? [])
    return response
  }
}

extension Failure.Code {
  static let hopLoop = Failure.Code(rawValue: "hop_loop")
}
