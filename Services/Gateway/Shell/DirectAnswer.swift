import ClusterModel
import GatewayCore
import Hummingbird
import Inference
import InferenceCore
import Limits
import Money
import ServiceKit
import Text

/// The fast path: `infer()` answers the request in the gateway, without a plan or a bus message.
struct DirectAnswer: Sendable {
  private let resources: GatewayResources
  private let exchange: Exchange
  /// `nil` means any chat model.
  private let model: ModelID?

  init(_ resources: GatewayResources, _ exchange: Exchange, _ model: ModelID?) {
    self.resources = resources
    self.exchange = exchange
    self.model = model
  }

  func response() async throws -> Response {
    let pending = try await resources.heavily(exchange.request.body.count, exchange.client) {
      () throws(Failure) in
      try self.startInference()
    }
    let registration = resources.answers.register(key: exchange.key) { _ in
      pending.cancel()
    }
    do {
      return try await response(pending, registration)
    } catch let failure as Failure {
      throw registration.explained(failure)
    }
  }

  private func response(
    _ pending: PendingInference, _ registration: InFlightAnswers.Registration
  ) async throws -> Response {
    guard exchange.request.stream else {
      defer { registration.unregister() }
      return try await wholeResponse(pending)
    }

    // A failure can set the HTTP status until the response begins. The response begins after one
    // keep-alive interval at the latest, because the client must then receive data.
    let first: Inference?
    do throws(Failure) {
      first = try await pending.inference(within: resources.configuration.keepAlive)
    } catch {
      recordPart(of: pending, written: 0)
      throw error
    }
    return Response(
      events: exchange.trace, passing: first?.headers ?? [], paidBy: exchange.payment
    ) { writer in
      defer { registration.unregister() }
      var client = ClientStream(writer, self.exchange.journal, self.resources.answers)
      do throws(Failure) {
        try await self.relay(pending, first, to: &client)
      } catch {
        try await client.fail(registration.explained(error))
      }
    }
  }

  private func startInference() throws(Failure) -> PendingInference {
    let request = exchange.request
    let budget = TokenBudget.of(
      request, table: resources.context.hosts.table, pools: exchange.rights.pools)
    let body = try request.body(within: budget, affordable: exchange.payment?.tokens)
    return resources.inference.start(
      InferenceRequest(
        endpoint: request.endpoint, model: model, body: body,
        stream: request.stream, trace: exchange.trace, hops: exchange.hops,
        // The limit that enforces a budget may get another name, but it may not be removed.
        undoable: request.maxTokens == nil && body.count != request.body.count
          ? .newLimitName : [],
        headers: exchange.headers.map { UpstreamRequest.Header($0.name, $0.value) }),
      constraints: InferenceConstraints(
        race: request.options.race,
        deadlines: request.options.deadlines(
          over: resources.configuration.deadlines.of(request.endpoint.directRoute)),
        dataPolicy: request.options.dataPolicy, pools: exchange.rights.pools,
        affinity: request.affinity,
        client: ClientFingerprint(tag: exchange.client),
        seed: exchange.seed))
  }

  // MARK: - Not streamed

  private func wholeResponse(_ pending: PendingInference) async throws -> Response {
    do {
      return try await readWhole(pending)
    } catch {
      recordPart(of: pending, written: 0)
      throw error
    }
  }

  private func readWhole(_ pending: PendingInference) async throws -> Response {
    guard let inference = try await pending.inference() else {
      throw Failure(.internalError, "an inference was neither answered nor failed")
    }
    var body: [UInt8] = []
    var headers = inference.headers
    var bill: RequestBill?
    for try await event in inference {
      switch event {
      case .chunk, .resumed: break
      case .body(let bytes): body = bytes
      case .finished(let summary):
        let summary = exchange.credible(summary)
        exchange.journal.recordFirstToken()
        record(summary)
        bill = exchange.payment?.bill(summary)
        exchange.journal.recordCost(bill?.billed)
        exchange.payment?.began(by: inference.opening)
        // If several hosts contributed, no single host's headers describe the answer.
        if summary.attempts.count(where: \.isInAnswer) > 1 { headers = [] }
        if exchange.request.options.trace {
          let trace = trace(of: summary, bill).encoded
          // The body was validated on arrival. A body that is no object is returned unchanged.
          body =
            (try? JSONObjectScanner(body).edited(replacing: [(name: "tutti", json: trace)])) ?? body
        }
      }
    }
    var response = try exchange.response(body, bill: bill)
    response.headers.pass(headers)
    exchange.journal.end(status: 200)
    return response
  }

  // MARK: - Streamed

  /// - Parameter first: the answer. `nil` means that it had not begun when the response began.
  @concurrent
  private func relay(
    _ pending: PendingInference, _ first: Inference?, to client: inout ClientStream
  ) async throws(Failure) {
    var tally = TokenTally()
    var inference = first
    do throws(Failure) {
      while inference == nil {
        try await client.send(SSE.keepAlive)
        inference = try await pending.inference(within: resources.configuration.keepAlive)
      }
      guard let inference else { return }
      exchange.payment?.began(by: inference.opening)
      try await relay(inference, counting: &tally, to: &client)
    } catch {
      recordPart(of: pending, written: tally.total, begunBy: inference?.opening)
      throw error
    }
  }

  /// - Parameter tally: counts the tokens of the chunks so far, even if they are not written yet.
  @concurrent
  private func relay(
    _ inference: Inference, counting tally: inout TokenTally, to client: inout ClientStream
  ) async throws(Failure) {
    var firstChunk: [UInt8]?
    var events = inference.makeAsyncIterator()
    while true {
      let batch = try await events.nextBatch()
      guard !batch.isEmpty else { break }
      // Chunks that arrived together are sent with one write.
      var frames: [UInt8] = []
      for event in batch {
        switch event {
        case .body: break
        case .resumed(let host):
          // The text so far came from the earlier host, so it is sent and counted before the next
          // host is recorded.
          try await send(frames: &frames, to: &client)
          exchange.payment?.wrote(tally.total)
          exchange.payment?.began(by: host)
        case .chunk(let chunk):
          if !chunk.facts.text.isEmpty || chunk.facts.hasOther {
            tally.take(bytes: chunk.facts.text.utf8.count)
          }
          if chunk.data.count > Limits.heavyBytes.value {
            try await send(frames: &frames, to: &client)
            try await client.send(event: chunk.data)
            exchange.payment?.wrote(tally.total)
            exchange.journal.recordFirstToken()
          } else {
            SSE.append(data: chunk.data, to: &frames)
          }
          if firstChunk == nil { firstChunk = chunk.data }
        case .finished(let summary):
          try await send(frames: &frames, to: &client)
          exchange.payment?.wrote(tally.total)
          let summary = exchange.credible(summary)
          record(summary)
          let bill = exchange.payment?.bill(summary)
          exchange.journal.recordCost(bill?.billed)
          if let bill { exchange.payment?.settle(bill) }
          if exchange.request.options.trace {
            let composer =
              firstChunk.flatMap(ChatComposer.init(following:))
              ?? ChatComposer(id: "\(exchange.trace.trace)", model: summary.model.name, created: 0)
            frames = SSE.data(composer.extra([("tutti", trace(of: summary, bill))]))
          }
          frames += SSE.done
        }
        if frames.count > Limits.heavyBytes.value {
          try await send(frames: &frames, to: &client)
          exchange.payment?.wrote(tally.total)
        }
      }
      try await send(frames: &frames, to: &client)
      exchange.payment?.wrote(tally.total)
    }
    try await client.finish()
  }

  /// Sends the gathered frames of an answer, and empties them.
  @concurrent
  private func send(
    frames: inout [UInt8], to client: inout ClientStream
  ) async throws(Failure) {
    guard !frames.isEmpty else { return }
    try await client.send(frames)
    frames.removeAll(keepingCapacity: true)
    exchange.journal.recordFirstToken()
  }

  // MARK: - Reporting

  private func record(_ summary: InferenceSummary) {
    exchange.journal.recordAnswer(
      by: summary.host.name, model: summary.model, usage: summary.usage,
      finishReason: summary.finishReason,
      costs: hostCosts(summary.attempts, summary.usage))
    exchange.journal.recordAttempts(summary.attempts.map(\.facts))
  }

  private func hostCosts(_ attempts: [AttemptRecord], _ usage: Usage) -> HostCosts {
    HostCosts(attempts: attempts, usage: usage, table: resources.context.hosts.table)
  }

  /// Records an answer that the client did not receive to its end, with the tokens that the hosts
  /// made for it.
  /// - Parameters:
  ///   - written: tokens that were sent to the client.
  ///   - opening: the host that began the answer. `nil` means that the answer had not begun.
  private func recordPart(
    of pending: PendingInference, written: Int, begunBy opening: InferenceOpening? = nil
  ) {
    pending.cancel()
    let attempts = pending.attempts
    exchange.journal.recordAttempts(attempts.map(\.facts))
    // Tokens of a host that failed are not the client's, but they have a cost.
    let delivered = attempts.filter { $0.paid.outcome == .delivered }
    let made = delivered.reduce(0) { $0.addingCapped($1.tokens) }
    let last = delivered.last ?? attempts.last(where: \.isInAnswer)
    guard let host = last?.host ?? opening?.host, let model = last?.model ?? opening?.model else {
      return
    }
    let tokens = max(written, made)
    exchange.journal.recordPart(
      by: host.name, model: model, usage: exchange.request.usage(ofPart: tokens),
      // Every host that wrote something has read the prompt.
      costs: hostCosts(attempts, exchange.request.usage(ofPart: max(1, tokens))),
      cost: exchange.payment?.billedSoFar)
  }

  private func trace(of summary: InferenceSummary, _ bill: RequestBill?) -> JSON {
    TraceExtension.direct(
      trace: exchange.trace.trace, seed: exchange.seed, reason: exchange.journal.reason,
      host: summary.host, model: summary.model,
      usage: summary.usage, finishReason: summary.finishReason, firstToken: summary.firstToken,
      total: summary.total, attempts: exchange.shown(summary.attempts.map(\.facts)),
      costs: exchange.shown(hostCosts(summary.attempts, summary.usage)), cost: bill?.billed,
      cut: exchange.payment?.cut)
  }
}
