import ClusterModel
import ClusterTesting
import InferenceCore
import Logging
import Overload
import Testing

@testable import Inference

private let answer = "The quick brown fox jumps over the lazy dog."

/// Starts hosts and a client for `body`, and shuts them down afterwards.
private func withHosts(
  _ configurations: [FaultyHostConfiguration],
  _ body: (InferenceClient, [FaultyHost]) async throws -> Void
) async throws {
  var hosts: [FaultyHost] = []
  for configuration in configurations { hosts.append(try await .started(configuration)) }
  let lines = hosts.enumerated().map { $1.host(HostID("h\($0)")) }
  let client = InferenceClient(
    hosts: { HostTable(epoch: 1, revision: 1, hosts: lines) }, logger: Logger(label: "test"))
  do {
    try await body(client, hosts)
  } catch {
    try await client.shutdown()
    throw error
  }
  // The reader may receive its last event shortly before the request is removed from `inFlight`.
  await untilEmpty(client)
  #expect(client.inFlight.isEmpty)
  try await client.shutdown()
  for host in hosts { try await host.stop() }
}

/// Waits until the client has removed its last request.
private func untilEmpty(_ client: InferenceClient) async {
  let end = ContinuousClock.now.advanced(by: .seconds(20))
  while !client.inFlight.isEmpty, ContinuousClock.now < end { await Task.yield() }
}

private func request(
  stream: Bool = true, _ endpoint: InferenceEndpoint = .chatCompletions, extra: String = ""
) -> InferenceRequest {
  InferenceRequest(
    endpoint: endpoint, model: "faulty-model",
    body: Array(#"{"model":"x","stream":\#(stream)\#(extra),"tutti":{}}"#.utf8), stream: stream,
    trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3)))
}

/// Deadlines for tests that do not check time, because a working host may be slow on a busy
/// machine.
private let patient = Deadlines(
  firstToken: .seconds(50), interToken: .seconds(50), total: .seconds(55))

private func constraints(
  _ deadlines: Deadlines = patient, seed: UInt64 = 1, require: HostID? = nil,
  race: RaceMode? = .single
) -> InferenceConstraints {
  InferenceConstraints(race: race, deadlines: deadlines, require: require, seed: seed)
}

private func text(_ inference: Inference) async throws -> (String, InferenceSummary?) {
  var text = ""
  var summary: InferenceSummary?
  for try await event in inference {
    switch event {
    case .chunk(let chunk): text += chunk.facts.text
    case .body(let body): text += try ChunkFacts(parsing: body).text
    case .resumed: break
    case .finished(let told): summary = told
    }
  }
  return (text, summary)
}

/// A seed that chooses `h0` first of two idle hosts.
private let firstHostSeed: UInt64 = (0..<100).first { seed in
  var rng = SplitMix64(seed: seed)
  let two = ["h0", "h1"].map { id in
    Candidate(host: Host(id: HostID(id), url: "http://x"), model: "m")
  }
  let view = ClusterView(table: HostTable(epoch: 1, revision: 1, hosts: two.map(\.host)))
  return HostChoice.choose(1, from: two, view: view, using: &rng).first?.host.id == "h0"
}!

@Suite("Inference over real sockets", .timeLimit(.minutes(5)))
struct InferenceClientTests {
  @Test("an answer comes whole, streamed and not", arguments: [true, false])
  func answers(_ stream: Bool) async throws {
    try await withHosts([.init(answer: .text(answer))]) { client, hosts in
      let inference = try await client.infer(request(stream: stream), constraints: constraints())
      #expect(inference.host == "h0" && inference.model == "faulty-model")
      #expect(inference.status == 200)
      let (got, summary) = try await text(inference)
      #expect(got == answer)
      #expect(summary?.finishReason == "stop")
      #expect(summary?.usage.completionTokens == 9)
      #expect(summary?.usage.estimated == false)
      let sent = try #require(hosts[0].requests.last)
      #expect(
        String(decoding: sent.body, as: UTF8.self)
          == #"{"stream_options":{"include_usage":true},"model":"faulty-model","stream":true}"#)
      #expect(sent.headers["traceparent"]?.contains(TraceID(high: 1, low: 2).description) == true)
    }
  }

  @Test("usage that the client did not ask for is counted, and not passed on")
  func unaskedUsage() async throws {
    try await withHosts([.init(answer: .text(answer))]) { client, _ in
      for (extra, told) in [("", 0), (#","stream_options":{"include_usage":true}"#, 1)] {
        let inference = try await client.infer(
          request(extra: extra), constraints: constraints())
        var chunks = 0
        for try await event in inference {
          if case .chunk(let chunk) = event, chunk.facts.usage != nil { chunks += 1 }
          if case .finished(let summary) = event {
            #expect(summary.usage.completionTokens == 9 && !summary.usage.estimated)
          }
        }
        #expect(chunks == told)
      }
    }
  }

  @Test("completions and embeddings go the same way")
  func otherEndpoints() async throws {
    try await withHosts([.init(answer: .text(answer))]) { client, hosts in
      let (got, _) = try await text(
        try await client.infer(request(.completions), constraints: constraints()))
      #expect(got == answer)
      let embeddings = try await client.infer(
        request(stream: false, .embeddings), constraints: constraints())
      let (_, summary) = try await text(embeddings)
      #expect(summary?.usage == Usage(promptTokens: 7, completionTokens: 0))
      #expect(hosts[0].counts.requests["/v1/embeddings"] == 1)
    }
  }

  @Test("connections are used again")
  func reusesConnections() async throws {
    try await withHosts([.init(answer: .text(answer))]) { client, hosts in
      for _ in 0..<20 {
        _ = try await text(try await client.infer(request(), constraints: constraints()))
      }
      let counts = await hosts[0].wait { $0.completed == 20 }
      #expect(counts.cancels.isEmpty)
      // A request may start before the previous response has ended, but most connections are
      // reused.
      #expect(counts.connections < 20)
    }
  }

  @Test(
    "before the first token any failure leads to the next host, unnoticed by the client",
    arguments: [
      FaultyHostFaults(status: 500), FaultyHostFaults(status: 503, retryAfter: 1),
      FaultyHostFaults(status: 404), FaultyHostFaults(dropAtByte: 0),
      FaultyHostFaults(dropAtByte: 30), FaultyHostFaults(stallAtToken: 0),
      FaultyHostFaults(endAtToken: 0), FaultyHostFaults(errorAtToken: 0),
      FaultyHostFaults(garbage: true), FaultyHostFaults(hugeBodyBytes: 3 << 20),
      FaultyHostFaults(refuse: true),
    ], [true, false])
  func nextHost(_ faults: FaultyHostFaults, _ stream: Bool) async throws {
    try await withHosts([.init(answer: .text("no"), faults: faults), .init(answer: .text(answer))])
    { client, hosts in
      // Only the silent host gets a short deadline; the other one must succeed on a busy machine.
      let short = Deadlines(
        firstToken: faults.stallAtToken == nil ? .seconds(50) : .seconds(8),
        interToken: .seconds(50), total: .seconds(55))
      let inference = try await client.infer(
        request(stream: stream), constraints: constraints(short, seed: firstHostSeed))
      #expect(inference.host == "h1")
      #expect(inference.opening.attempt == 2)
      let (got, summary) = try await text(inference)
      #expect(got == answer)
      #expect(summary?.attempts.first?.failure != nil)
      #expect(hosts[0].counts.inferences == 1)
    }
  }

  @Test("a host that is not there is passed over")
  func deadHost() async throws {
    try await withHosts([.init(), .init(answer: .text(answer))]) { client, hosts in
      try await hosts[0].stop()
      let inference = try await client.infer(
        request(), constraints: constraints(seed: firstHostSeed))
      #expect(try await text(inference).0 == answer)
    }
  }

  @Test("a host whose secret is missing is passed over, and the record names what is missing")
  func missingSecret() async throws {
    let working = try await FaultyHost.started(.init(answer: .text(answer)))
    var lines = [working.host("h0"), working.host("h1")]
    for (credential, missing) in [
      ("env:TUTTI_CREDENTIAL_NONE", "the environment variable TUTTI_CREDENTIAL_NONE"),
      ("file:/nonexistent/tutti-secret", "the file /nonexistent/tutti-secret"),
    ] {
      lines[0].credential = credential
      // Without a stated price, the other host would be cheaper.
      lines[0].price = .free
      let table = HostTable(epoch: 1, revision: 1, hosts: lines)
      let client = InferenceClient(
        hosts: { table },
        credentials: Credentials(
          environment: ["OTHER": "s3cret"], rules: CredentialRules(folder: "/nonexistent")),
        logger: Logger(label: "test"))
      let (got, summary) = try await text(
        client.infer(request(), constraints: constraints(seed: firstHostSeed)))
      #expect(got == answer)
      let failure = try #require(summary?.attempts.first?.failure)
      #expect(failure.kind == .noSecret)
      #expect(failure.message.contains(missing) && failure.message.contains("h0"))
      // The failure is never counted against the host.
      for _ in 0..<20 {
        await #expect {
          try await client.infer(request(), constraints: constraints(require: "h0"))
        } throws: { error in
          (error as? Failure)?.message.contains(missing) == true
        }
      }
      let standing = client.view().standing(of: "h0")
      #expect(standing?.breaker.admits(at: client.view().moment) ?? true)
      #expect(standing?.errorRate ?? 0 == 0)
      try await client.shutdown()
    }
    try await working.stop()
  }

  @Test("a host's error message is passed on without the secret that it repeats")
  func echoedSecret() async throws {
    let secret = "sk-0123456789"
    let host = try await FaultyHost.started(
      .init(
        faults: FaultyHostFaults(
          status: 401, statusBody: #"{"error":{"message":"\#(secret) is no key of ours"}}"#)))
    var line = host.host("h0")
    line.credential = "env:TUTTI_CREDENTIAL_KEY"
    let table = HostTable(epoch: 1, revision: 1, hosts: [line])
    let client = InferenceClient(
      hosts: { table }, credentials: Credentials(environment: ["TUTTI_CREDENTIAL_KEY": secret]),
      logger: Logger(label: "test"))
    await #expect {
      try await client.infer(request(), constraints: constraints())
    } throws: { error in
      let told = "\(error)"
      return told.contains("*** is no key of ours") && !told.contains(secret)
    }
    #expect(host.requests.first?.headers["authorization"] == "Bearer \(secret)")
    try await client.shutdown()
    try await host.stop()
  }

  @Test("a host that was down is asked again by and by, and belongs again to the others")
  func recovers() async throws {
    let host = try await FaultyHost.started(
      .init(answer: .text(answer), faults: FaultyHostFaults(status: 500)))
    let table = HostTable(epoch: 1, revision: 1, hosts: [host.host("h0")])
    var policy = CircuitBreaker.Policy()
    policy.firstOpen = .zero
    let client = InferenceClient(
      hosts: { table }, statistics: HostStatistics(breaker: policy, seed: 1),
      logger: Logger(label: "test"))
    while client.view().standing(of: "h0")?.breaker == .closed {
      await #expect(throws: Failure.self) {
        try await client.infer(request(), constraints: constraints())
      }
    }
    host.faults = .none
    for _ in 0..<3 {
      let (got, summary) = try await text(client.infer(request(), constraints: constraints()))
      #expect(got == answer && summary?.attempts.count == 1)
    }
    await untilEmpty(client)
    #expect(client.view().standing(of: "h0")?.breaker == .closed)
    try await client.shutdown()
    try await host.stop()
  }

  @Test("a request that two hosts reject comes back with their own words")
  func rejected() async throws {
    let faults = FaultyHostFaults(status: 400, statusBody: #"{"error":{"message":"no such tool"}}"#)
    try await withHosts([.init(faults: faults), .init(faults: faults)]) { client, hosts in
      await #expect {
        try await client.infer(request(), constraints: constraints(seed: firstHostSeed))
      } throws: { error in
        let failure = error as? Failure
        return failure?.code == .invalidRequest
          && failure?.message.contains("no such tool") == true
      }
      #expect(hosts.map(\.requests.count) == [1, 1])
    }
  }

  @Test("a host that rejects every request fails no client", arguments: [nil, "gateway"])
  func rejectsAll(_ tag: String?) async throws {
    let faults = FaultyHostFaults(status: 400)
    try await withHosts([.init(faults: faults), .init(answer: .text(answer))]) { client, hosts in
      for number in 0..<12 as Range<UInt64> {
        var constraints = constraints(seed: firstHostSeed &+ number)
        constraints.client = tag.map { ClientFingerprint(tag: $0) }
        let (got, summary) = try await text(
          try await client.infer(request(), constraints: constraints))
        #expect(got == answer && summary?.host == "h1")
      }
      // After several rejections the host is avoided.
      #expect(hosts[0].requests.count < 12 && hosts[1].requests.count == 12)
    }
  }

  @Test("hosts that all limit the rate limit the client, with a time to wait")
  func busy() async throws {
    try await withHosts([.init(faults: FaultyHostFaults(status: 429, retryAfter: 7))]) {
      client, _ in
      await #expect {
        try await client.infer(request(), constraints: constraints())
      } throws: { error in
        (error as? Failure)?.code == .rateLimited
          && (error as? Failure)?.retryAfter == .seconds(7)
      }
    }
  }

  @Test(
    "after the first token a failure is an error, never a shorter answer",
    arguments: [
      FaultyHostFaults(dropAtByte: 700), FaultyHostFaults(stallAtToken: 3),
      FaultyHostFaults(endAtToken: 3), FaultyHostFaults(errorAtToken: 3),
    ])
  func brokenOff(_ faults: FaultyHostFaults) async throws {
    try await withHosts([.init(answer: .text(answer), faults: faults)]) { client, _ in
      let short = Deadlines(
        firstToken: .seconds(20), interToken: .milliseconds(300), total: .seconds(50))
      let inference = try await client.infer(request(), constraints: constraints(short))
      var got = ""
      await #expect(throws: Failure.self) {
        for try await event in inference {
          if case .chunk(let chunk) = event { got += chunk.facts.text }
          if case .finished = event { Issue.record("a cut answer was called finished") }
        }
      }
      #expect(!got.isEmpty && answer.hasPrefix(got))
    }
  }

  @Test(
    "a byte that is not UTF-8 becomes U+FFFD, and the same host continues",
    arguments: [0, 3], [true, false])
  func halfCharacter(_ token: Int, _ stream: Bool) async throws {
    let faults = FaultyHostFaults(halfCharacterAtToken: token)
    try await withHosts([
      .init(answer: .text(answer), faults: faults), .init(answer: .text("no")),
    ]) { client, hosts in
      let inference = try await client.infer(
        request(stream: stream), constraints: constraints(seed: firstHostSeed))
      let (got, summary) = try await text(inference)
      #expect(got.contains("\u{FFFD}") && got.replacing("\u{FFFD}", with: "") == answer)
      #expect(summary?.attempts.map(\.outcome) == [.answered])
      #expect(hosts[1].counts.inferences == 0)
    }
  }

  @Test("without an eligible host, the error has each host's reason and no host is asked")
  func nobody() async throws {
    try await withHosts([.init()]) { client, hosts in
      var other = request()
      other.model = "another"
      await #expect {
        try await client.infer(other, constraints: constraints())
      } throws: { error in
        (error as? Failure)?.code == .noEligibleHost
          && (error as? Failure)?.message.contains("h0 does not offer it") == true
      }
      #expect(hosts[0].counts.inferences == 0)
    }
  }

  @Test("leaving before the first token is seen by the host", arguments: [true, false])
  func cancelBeforeFirstToken(_ stream: Bool) async throws {
    try await withHosts([.init()]) { client, hosts in
      let gate = hosts[0].hold(.beforeFirstToken)
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await #expect(throws: Failure.self) {
            try await client.infer(request(stream: stream), constraints: constraints())
          }
        }
        await gate.reached()
        group.cancelAll()
      }
      let cancels = await hosts[0].waitForCancels(1)
      // The host is asked for a stream, whatever the client requested.
      #expect(cancels.map(\.phase) == [.beforeFirstToken])
    }
  }

  @Test("leaving in mid-stream is seen by the host: by dropping the answer")
  func dropMidStream() async throws {
    try await withHosts([.init()]) { client, hosts in
      let gate = hosts[0].hold(.afterToken(2))
      do {
        let inference = try await client.infer(request(), constraints: constraints())
        for try await _ in inference { break }
        await gate.reached()
      }
      let cancels = await hosts[0].waitForCancels(1)
      #expect(cancels.map(\.phase) == [.midStream])
    }
  }

  @Test("leaving in mid-stream is seen by the host: by cancelling the reader")
  func cancelMidStream() async throws {
    try await withHosts([.init()]) { client, hosts in
      let gate = hosts[0].hold(.afterToken(2))
      let inference = try await client.infer(request(), constraints: constraints())
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await #expect(throws: Failure.self) { for try await _ in inference {} }
        }
        await gate.reached()
        group.cancelAll()
      }
      let cancels = await hosts[0].waitForCancels(1)
      #expect(cancels.map(\.phase) == [.midStream])
    }
  }

  @Test("a reader that pauses stops its host, and loses nothing when it continues")
  func slowReader() async throws {
    let long = String(repeating: "x", count: 3 << 20)
    try await withHosts([.init(answer: .text(long), tokens: .characters(64 << 10))]) {
      client, hosts in
      let inference = try await client.infer(request(), constraints: constraints())
      while client.memory.held == 0 { await Task.yield() }
      #expect(client.memory.held < 1 << 20)
      #expect(try await text(inference).0 == long)
      #expect(hosts[0].counts.cancels.isEmpty)
    }
  }

  @Test(
    "half of all requests meet a fault: with a spare host every answer is complete and right")
  func manyFaults() async throws {
    let faults = FaultyHostFaults(status: 500, probability: 0.5)
    try await withHosts([
      .init(answer: .text(answer), seed: 1, faults: faults), .init(answer: .text(answer)),
    ]) { client, hosts in
      // Each worker sends its requests in sequence. If all ran at once, they would need about as
      // many retries as the retry budget has, and the result would depend on chance.
      try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<4 as Range<UInt64> {
          group.addTask {
            for number in 0..<50 as Range<UInt64> {
              let inference = try await client.infer(
                request(), constraints: constraints(seed: worker * 50 + number))
              let got = try await text(inference).0
              #expect(got == answer)
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(hosts[0].counts.inferences > 0)
    }
  }
}
