import AsyncHTTPClient
import ClusterModel
import ContentCoding
import Foundation
import Inference
import InferenceCore
import Limits
import NIOCore
import NIOHTTP1
import NIOPosix
import RegistryCore
import Synchronization

/// Probes hosts over HTTP. `HostRegistry` decides what a result means.
final class HostProber: Sendable {
  static let deadline = Duration.milliseconds(Limits.probeTime.value)
  private static let maximumBytes = Limits.probeBytes.value
  /// Time for which a host's slots and version are not requested again.
  /// They change only if the server restarts. Probes usually fail during a restart, and a failed
  /// probe discards them.
  private static let detailsLast: Duration = .seconds(60)

  private struct Details {
    var dialect: HostDialect?
    var backend: Backend
    var slots: Int?
    var version: String?
    var contextTokens: Int?
    var asked: ContinuousClock.Instant
  }

  private let client: HTTPClient
  private let credentials: Credentials
  private let details = Mutex<[HostID: Details]>([:])
  /// Whether the API omits `/v1`, for hosts without a list of models, with the time of the request.
  private let places = Mutex<[HostID: (omitsV1: Bool, asked: ContinuousClock.Instant)]>([:])

  init(client: HTTPClient, credentials: Credentials = Credentials()) {
    self.client = client
    self.credentials = credentials
  }

  static var clientConfiguration: HTTPClient.Configuration {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: .seconds(2), read: .seconds(2)))
    configuration.connectionPool.idleTimeout = .seconds(10)
    // Without retries, a refused connection fails at once and not at the deadline.
    configuration.connectionPool.retryConnectionEstablishment = false
    // A probe sends one request at a time. A dropped probe may still run next to a new one.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 2
    return configuration
  }

  func shutdown() async { try? await client.shutdown() }

  func probe(_ order: ProbeOrder) async -> ProbeResult {
    let secret: String?
    do throws(Failure) {
      secret = try credentials.secret(
        for: ClusterModel.Host(id: order.host, url: order.url, credential: order.credential))
    } catch {
      return .failed(absent: true, reason: error.message)
    }
    let began = ContinuousClock.now
    do {
      let listing = try await listing(of: order, secret)
      let roundTrip = began.duration(to: .now)
      let facts = await facts(of: order, listing, secret)
      return .answered(
        ProbeReport(
          models: listing.models.offers(contextTokens: facts.contextTokens),
          slots: facts.slots, version: facts.version, dialect: facts.backend.dialect,
          resume: facts.backend.resume, omitsV1: listing.omitsV1, roundTrip: roundTrip))
    } catch let error as Unlisted {
      let roundTrip = began.duration(to: .now)
      let omitsV1 = await place(of: order, secret)
      details.withLock { $0[order.host] = nil }
      return .unlisted(
        ProbeReport(
          models: [], dialect: order.dialect ?? (error.isAnthropic ? .anthropic : .openai),
          resume: .instruct, omitsV1: omitsV1, roundTrip: roundTrip), reason: error.reason)
    } catch {
      details.withLock { $0[order.host] = nil }
      return Self.judged(error)
    }
  }

  /// A host's models, and the server's software as the answer shows it.
  private struct Listing {
    var models: ModelListing
    var backend: Backend
    var omitsV1 = false
  }

  /// The host answers but has no list of models.
  private struct Unlisted: Error {
    var reason: String
    var isAnthropic: Bool

    init(_ failure: AskFailure) {
      isAnthropic = failure.isAnthropic
      reason = failure.sentence + "; name its models with `tutti hosts add --model NAME`"
    }
  }

  private func listing(of order: ProbeOrder, _ secret: String?) async throws -> Listing {
    switch order.dialect {
    case .ollama:
      do {
        return Listing(
          models: try await models(order.url + "/api/tags", secret, .ollama).models,
          backend: .ollama)
      } catch let failure as AskFailure {
        throw Self.probeError([failure])
      }
    case .anthropic: return try await anthropicListing(of: order, secret)
    case .openai, nil: return try await openAIListing(of: order, secret)
    }
  }

  /// Requests the list of models from its possible locations, the more likely location first.
  private func openAIListing(
    of order: ProbeOrder, _ secret: String?
  ) async throws -> Listing {
    let likely = order.omitsV1 ?? order.probablyOmitsV1
    let places = order.omitsV1 == nil ? [likely, !likely] : [likely]
    var failures: [AskFailure] = []
    for omitsV1 in places {
      do {
        let (models, server) = try await models(
          Self.base(order, omitsV1) + "/models", secret, .openai)
        return Listing(models: models, backend: models.backend(server: server), omitsV1: omitsV1)
      } catch let failure as AskFailure {
        if order.dialect == nil, failure.isAnthropic, !omitsV1 {
          return try await anthropicListing(of: order, secret)
        }
        failures.append(failure)
      }
    }
    throw Self.probeError(failures)
  }

  private func anthropicListing(
    of order: ProbeOrder, _ secret: String?
  ) async throws -> Listing {
    do {
      let (models, _) = try await models(
        order.url + "/v1/models?limit=1000", secret, .anthropic)
      return Listing(models: models, backend: .anthropic)
    } catch let failure as AskFailure {
      throw Self.probeError([failure])
    }
  }

  private static func base(_ order: ProbeOrder, _ omitsV1: Bool) -> String {
    order.url + (omitsV1 ? "" : "/v1")
  }

  /// The failure to report: the first one after which the host cannot serve requests, even if an
  /// admin names its models. Otherwise the first failure.
  private static func probeError(_ failures: [AskFailure]) -> any Error {
    let worst = failures.first { !$0.isUnlisted } ?? failures.first
    guard let worst else { return CancellationError() }
    return worst.isUnlisted ? Unlisted(worst) : worst
  }

  /// Finds out whether the API of a host without a model list omits `/v1`. It sends GET to a path
  /// of the API: an existing path refuses GET with a status other than 404.
  private func place(of order: ProbeOrder, _ secret: String?) async -> Bool {
    let likely = order.omitsV1 ?? order.probablyOmitsV1
    guard order.omitsV1 == nil, (order.dialect ?? .openai).mayOmitV1 else { return likely }
    if let known = places.withLock({ $0[order.host] }),
      known.asked.duration(to: .now) < Self.detailsLast
    {
      return known.omitsV1
    }
    let omitsV1 = await asked(order, likely, secret)
    places.withLock { places in
      if places.count >= Limits.tableHosts.value { places.removeAll() }
      places[order.host] = (omitsV1, .now)
    }
    return omitsV1
  }

  private func asked(_ order: ProbeOrder, _ likely: Bool, _ secret: String?) async -> Bool {
    var isThere: [Bool: Bool] = [:]
    for omitsV1 in [likely, !likely] {
      let url = Self.base(order, omitsV1) + "/chat/completions"
      guard let answer = try? await exchange(Self.request(url, secret, .openai)) else {
        return likely
      }
      isThere[omitsV1] = answer.status != .notFound
    }
    return isThere[likely] == false && isThere[!likely] == true ? !likely : likely
  }

  // MARK: - Slots, version and resume way, if the server reports them

  private func facts(
    of order: ProbeOrder, _ listing: Listing, _ secret: String?
  ) async -> Details {
    if let known = details.withLock({ $0[order.host] }),
      known.asked.duration(to: .now) < Self.detailsLast, known.dialect == order.dialect
    {
      return known
    }
    var facts = Details(dialect: order.dialect, backend: listing.backend, asked: .now)
    switch facts.backend {
    case .llamaCpp:
      if let props = try? await get(order.url + "/props", secret, as: LlamaProps.self) {
        facts.slots = props.totalSlots
        facts.version = props.buildInfo.map { "llama.cpp \($0)" }
        facts.contextTokens = props.contextTokens
      }
    case .vLLM:
      if let answer = try? await get(order.url + "/version", secret, as: ServerVersion.self) {
        facts.version = answer.version.map { "vLLM \($0)" }
      }
    case .lmStudio, .llamaFarm, .anthropic: facts.version = facts.backend.name
    case .ollama: facts.version = await ollamaVersion(of: order, secret)
    case .other:
      // Ollama's list of models does not always show that it is Ollama.
      if order.dialect == nil, let version = await ollamaVersion(of: order, secret),
        (try? await models(order.url + "/api/tags", secret, .ollama)) != nil
      {
        facts.backend = .ollama
        facts.version = version
      }
    }
    // The host chooses the length of its version, so only the published part is kept.
    facts.version = facts.version?.cut(toBytes: Limits.hostVersionBytes.value)
    details.withLock { known in
      if known.count >= Limits.tableHosts.value { known.removeAll() }
      known[order.host] = facts
    }
    return facts
  }

  /// `nil` means that the server does not report its version where Ollama does.
  private func ollamaVersion(of order: ProbeOrder, _ secret: String?) async -> String? {
    let answer = try? await get(order.url + "/api/version", secret, as: ServerVersion.self)
    return answer?.version.map { "Ollama \($0)" }
  }

  // MARK: - HTTP

  /// An answer without the requested content.
  private struct AskFailure: Error {
    let url: String
    let status: UInt
    /// Whether the error has the form that only Anthropic's API uses.
    var isAnthropic = false

    /// Whether the host may still be able to serve requests, if an admin names its models.
    var isUnlisted: Bool { [200, 400, 403, 404, 405, 406, 410, 422, 501].contains(status) }

    var sentence: String {
      // The requested URL without its query.
      let place = "GET \(url.prefix { $0 != "?" }.description.cut(toBytes: HostProber.shownBytes))"
      switch status {
      case 200: return "\(place) returns no list of models"
      case 503: return "\(place) returns 503: the host is loading or overloaded"
      case 401, 403:
        return "\(place) returns \(status): it needs another credential; name one with "
          + "`tutti hosts add --credential`"
      default: return "\(place) returns \(status)"
      }
    }
  }

  /// Maximum bytes of a URL in a reason. The whole reason has at most 200 bytes.
  private static let shownBytes = 90

  private static func request(
    _ url: String, _ secret: String?, _ dialect: HostDialect
  ) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: url)
    request.headers.add(name: "accept", value: "application/json")
    // If a host compresses its answer anyway, the answer is decoded.
    request.headers.add(name: "accept-encoding", value: "identity")
    request.headers.add(name: "user-agent", value: "tutti-registry/\(Version.current)")
    for header in dialect.headers(secret: secret) {
      request.headers.add(name: header.name, value: header.value)
    }
    return request
  }

  /// - Returns: the list and the `server` header.
  private func models(
    _ url: String, _ secret: String?, _ dialect: HostDialect
  ) async throws -> (models: ModelListing, server: String) {
    let response = try await ask(url, secret, dialect)
    do {
      return (
        try ModelListing(parsing: Array(response.body.readableBytesView)), response.server
      )
    } catch {
      throw AskFailure(url: url, status: 200)
    }
  }

  /// Requests a detail from a server. The secret is sent as to hosts of OpenAI's dialect.
  private func get<Answer: Decodable>(
    _ url: String, _ secret: String?, as: Answer.Type
  ) async throws -> Answer {
    let response = try await ask(url, secret, .openai)
    do {
      return try JSONDecoder().decode(Answer.self, from: Data(response.body.readableBytesView))
    } catch {
      throw AskFailure(url: url, status: 200)
    }
  }

  private func ask(
    _ url: String, _ secret: String?, _ dialect: HostDialect
  ) async throws -> Exchanged {
    let response = try await exchange(Self.request(url, secret, dialect))
    guard response.status == .ok else {
      let error = try? JSONDecoder().decode(
        AnthropicError.self, from: Data(response.body.readableBytesView))
      throw AskFailure(
        url: url, status: response.status.code, isAnthropic: error?.type == "error")
    }
    return response
  }

  private struct Exchanged: Sendable {
    var status: HTTPResponseStatus
    var server: String
    var body: ByteBuffer
  }

  /// Sends a request with one deadline for head and body.
  /// The HTTP client's own deadline ends with the response's head. Without the deadline here, a
  /// host that sends its body byte by byte would hold a probe's place without limit.
  private func exchange(_ request: HTTPClientRequest) async throws -> Exchanged {
    let nanoseconds = Self.deadline.wholeMilliseconds * 1_000_000
    return try await withThrowingTaskGroup(of: Exchanged?.self) { [client] group in
      group.addTask {
        let response = try await client.execute(
          request, deadline: .now() + .nanoseconds(nanoseconds))
        // The body of an error is read, too, because the connection then stays usable.
        let body = try Self.decoded(
          try await response.body.collect(upTo: Self.maximumBytes), response.headers)
        return Exchanged(
          status: response.status, server: response.headers.first(name: "server") ?? "", body: body)
      }
      group.addTask {
        try await Task.sleep(for: Self.deadline)
        return nil
      }
      defer { group.cancelAll() }
      guard let first = try await group.next(), let exchanged = first else {
        throw HTTPClientError.deadlineExceeded
      }
      return exchanged
    }
  }

  private static func decoded(_ body: ByteBuffer, _ headers: HTTPHeaders) throws -> ByteBuffer {
    let coding = try ContentCoding(header: headers["content-encoding"])
    guard coding != .identity else { return body }
    let decoder = BodyDecoder(coding)
    decoder.push(body.readableBytesView)
    decoder.finish()
    var decoded = ByteBuffer()
    while true {
      let bytes = try decoder.pull(decodedAtOnce)
      guard !bytes.isEmpty else { return decoded }
      decoded.writeBytes(bytes)
      guard decoded.readableBytes <= maximumBytes else {
        throw NIOTooManyBytesError(maxBytes: maximumBytes)
      }
    }
  }

  private static let decodedAtOnce = 64 << 10

  private static func judged(_ error: any Error) -> ProbeResult {
    switch error {
    case let failure as AskFailure:
      .failed(absent: failure.status == 401, reason: failure.sentence)
    case let error as UnknownCoding:
      .failed(
        absent: false,
        reason: "its list of models is compressed as \(error.name), which is not supported")
    case let error as BrokenCoding:
      .failed(absent: false, reason: "its list of models \(error)")
    case is NIOTooManyBytesError:
      .failed(absent: true, reason: "its list of models has more than \(maximumBytes) bytes")
    case let error as HTTPClientError where [.deadlineExceeded, .readTimeout].contains(error):
      .failed(absent: false, reason: "no answer within \(deadline.components.seconds) s")
    case let error as HTTPClientError where error == .connectTimeout:
      .failed(absent: false, reason: "no connection within \(deadline.components.seconds) s")
    case let error as IOError where error.errnoCode == ECONNREFUSED:
      .failed(absent: true, reason: "connection refused: nothing listens there")
    case let error as NIOConnectionError where error.connectionErrors.isEmpty:
      .failed(absent: true, reason: "its name cannot be resolved")
    case is NIOConnectionError:
      .failed(absent: true, reason: "cannot connect: nothing listens there")
    default:
      .failed(
        absent: false,
        reason: "the connection failed (\(String(describing: error).cut(toBytes: 120)))")
    }
  }
}
