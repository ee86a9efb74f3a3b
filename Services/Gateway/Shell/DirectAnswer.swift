import ClusterModel
import GatewayCore
import Hummingbird
import Inference
import InferenceCore
import Limits
import NIOCore
import ServiceKit
import Text

extension GatewayShell {
  /// The fast path: one host answers, its bytes pass through unchanged, and no bus message is sent.
  func answerDirectly(_ exchange: Exchange, _ model: ModelID?) async throws -> Response {
    let request = exchange.request
    let pending = try await heavily(request.body.count, exchange.client) {
      () throws(Failure) in
      try self.ask(exchange, model)
    }
    let registration = answers.register { pending.cancel() }
    guard request.stream else {
      defer { registration.unregister() }
      return try await answerWhole(exchange, pending)
    }

    // Until then a failure can still set the HTTP status; afterwards the stream must send
    // something.
    let first = try await pending.inference(within: configuration.keepAlive)
    return stream(exchange.trace, first?.headers ?? []) { writer in
      defer { registration.unregister() }
      do throws(Failure) {
        try await self.relay(exchange, pending, first, &writer)
      } catch {
        try await self.cut(error, exchange.journal, &writer)
      }
    }
  }

  private func ask(
    _ exchange: Exchange, _ model: ModelID?
  ) throws(Failure) -> PendingInference {
    let request = exchange.request
    let body = try request.body(within: TokenBudget.of(request, table: context.hosts.table))
    return inference.start(
      InferenceRequest(
        endpoint: request.endpoint, model: model, body: body,
        stream: request.stream, trace: exchange.trace, hops: exchange.hops,
        // A limit that enforces a budget may be renamed, but not dropped.
        undoable: request.maxTokens == nil && body.count != request.body.count
          ? .newLimitName : [],
        headers: exchange.headers.map { UpstreamRequest.Header($0.name, $0.value) }),
      constraints: InferenceConstraints(
        race: request.options.race,
        deadlines: request.options.deadlines(
          over: configuration.deadlines.of(request.endpoint.directRoute)),
        dataPolicy: request.options.dataPolicy, affinity: request.affinity,
        client: ClientFingerprint(tag: exchange.client),
        seed: exchange.seed))
  }

  // MARK: - Not streamed

  private func answerWhole(
    _ exchange: Exchange, _ pending: PendingInference
  ) async throws -> Response {
    guard let inference = try await pending.inference() else {
      throw Failure(.internalError, "an inference was neither answered nor failed")
    }
    var body: [UInt8] = []
    var headers = inference.headers
    for try await event in inference {
      switch event {
      case .chunk: break
      case .body(let bytes): body = bytes
      case .finished(let summary):
        exchange.journal.recordFirstToken()
        note(summary, exchange)
        // Several hosts contributed, so no single host's headers apply.
        if summary.attempts.count(where: \.isInAnswer) > 1 { headers = [] }
        if exchange.request.options.trace {
          let told = trace(exchange, summary).encoded
          // The body was validated on arrival. If it is not an object, it is returned unchanged.
          body =
            (try? JSONObjectScanner(body).edited(replacing: [(name: "tutti", json: told)])) ?? body
        }
      }
    }
    var response = try json(body, exchange)
    response.headers.pass(headers)
    exchange.journal.end(status: 200)
    return response
  }

  // MARK: - Streamed

  @concurrent
  private func relay(
    _ exchange: Exchange, _ pending: PendingInference, _ first: Inference?,
    _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    var inference = first
    while inference == nil {
      try await send(SSE.keepAlive, &writer)
      inference = try await pending.inference(within: configuration.keepAlive)
    }
    guard let inference else { return }
    var firstChunk: [UInt8]?
    var events = inference.makeAsyncIterator()
    while true {
      let batch = try await events.nextBatch()
      guard !batch.isEmpty else { break }
      // Chunks that arrived together are written together.
      var frames: [UInt8] = []
      for event in batch {
        switch event {
        case .body: break
        case .chunk(let chunk):
          if chunk.data.count > Limits.heavyBytes.value {
            try await send(frames: &frames, exchange, &writer)
            try await send(event: chunk.data, &writer)
            exchange.journal.recordFirstToken()
          } else {
            SSE.append(data: chunk.data, to: &frames)
          }
          if firstChunk == nil { firstChunk = chunk.data }
        case .finished(let summary):
          try await send(frames: &frames, exchange, &writer)
          note(summary, exchange)
          if exchange.request.options.trace {
            let composer =
              firstChunk.flatMap(ChatComposer.init(following:))
              ?? ChatComposer(id: "\(exchange.trace.trace)", model: summary.model.name, created: 0)
            frames = SSE.data(composer.extra([("tutti", trace(exchange, summary))]))
          }
          frames += SSE.done
        }
        if frames.count > Limits.heavyBytes.value {
          try await send(frames: &frames, exchange, &writer)
        }
      }
      try await send(frames: &frames, exchange, &writer)
    }
    try await finish(&writer)
    exchange.journal.end(status: 200)
  }

  private func note(_ summary: InferenceSummary, _ exchange: Exchange) {
    exchange.journal.recordAnswer(by: summary.host.name, usage: summary.usage)
    exchange.journal.recordAttempts(summary.attempts.map(\.facts))
  }

  private func trace(_ exchange: Exchange, _ summary: InferenceSummary) -> JSON {
    TraceExtension.direct(
      trace: exchange.trace.trace, seed: exchange.seed, reason: exchange.journal.reason,
      host: summary.host, model: summary.model,
      usage: summary.usage, firstToken: summary.firstToken, total: summary.total,
      attempts: summary.attempts.map(\.facts))
  }

  // MARK: - Writing to the client

  /// Sends the gathered frames of an answer, and empties them.
  @concurrent
  private func send(
    frames: inout [UInt8], _ exchange: Exchange, _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    guard !frames.isEmpty else { return }
    try await send(frames, &writer)
    frames.removeAll(keepingCapacity: true)
    exchange.journal.recordFirstToken()
  }

  @concurrent
  private func send(
    event json: [UInt8], _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    guard json.count > Limits.heavyBytes.value else {
      try await send(SSE.data(json), &writer)
      return
    }
    for piece in SSE.pieces(ofData: json, atMost: Limits.heavyBytes.value) {
      try await send(piece, &writer)
    }
  }

  @concurrent
  func send(_ bytes: [UInt8], _ writer: inout any ResponseBodyWriter) async throws(Failure) {
    do {
      try await writer.write(ByteBuffer(bytes: bytes))
    } catch {
      throw Failure(.cancelled, "the client has left")
    }
  }

  @concurrent
  func finish(_ writer: inout any ResponseBodyWriter) async throws(Failure) {
    do {
      try await writer.finish(nil)
    } catch {
      throw Failure(.cancelled, "the client has left")
    }
  }
}
