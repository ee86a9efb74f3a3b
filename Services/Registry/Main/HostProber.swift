import AsyncHTTPClient
import ClusterModel
import Foundation
import Inference
import Limits
import NIOCore
import NIOHTTP1
import NIOPosix
import RegistryCore
import Synchronization

/// Asks one host how it does. Holds no opinion: `HostRegistry` judges.
final class HostProber: Sendable {
  static let deadline = Duration.milliseconds(Limits.probeTime.value)
  private static let maximumBytes = Limits.probeBytes.value
  /// Slots and version change only when the server restarts, which also fails a probe or two.
  private static let detailsLast: Duration = .seconds(60)
  /// As many as there can be hosts.
  private static let maximumDetails = 1_000

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

  init(client: HTTPClient, credentials: Credentials = Credentials()) {
    self.client = client
    self.credentials = credentials
  }

  static var clientConfiguration: HTTPClient.Configuration {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: .seconds(2), read: .seconds(2)))
    configuration.connectionPool.idleTimeout = .seconds(10)
    // A refused connection is an answer, not a reason to wait for the deadline.
    configuration.connectionPool.retryConnectionEstablishment = false
    // Two requests at a time go to one host at most: the list and a detail.
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
          resume: facts.backend.resume, roundTrip: roundTrip))
    } catch {
      details.withLock { $0[order.host] = nil }
      return Self.judged(error, path: order.dialect == .ollama ? "/api/tags" : "/v1/models")
    }
  }

  /// What a host offers, and what its answer gave away about the server.
  private struct Listing {
    var models: ModelListing
    var backend: Backend
  }

  private func listing(of order: ProbeOrder, _ secret: String?) async throws -> Listing {
    switch order.dialect {
    case .ollama:
      let (tags, _) = try await get(order.url + "/api/tags", secret, as: OllamaTags.self)
      return Listing(models: tags.listing, backend: .ollama)
    case .anthropic: return try await anthropicListing(of: order, secret)
    case .openai, nil:
      do {
        let (models, server) = try await get(
          order.url + "/v1/models", secret, as: ModelListing.self)
        return Listing(models: models, backend: models.backend(server: server))
      } catch let error as NotOK where order.dialect == nil && error.isAnthropic {
        return try await anthropicListing(of: order, secret)
      }
    }
  }

  private func anthropicListing(
    of order: ProbeOrder, _ secret: String?
  ) async throws -> Listing {
    let (models, _) = try await get(
      order.url + "/v1/models?limit=1000", secret, anthropic: true, as: ModelListing.self)
    return Listing(models: models, backend: .anthropic)
  }

  // MARK: - Slots, version and way of going on, where the server tells

  private func facts(
    of order: ProbeOrder, _ listing: Listing, _ secret: String?
  ) async -> Details {
    if let known = details.withLock({ $0[order.host] }),
      known.asked.duration(to: .now) < Self.detailsLast, known.dialect == order.dialect
    {
      return known
    }
    var facts = Details(dialect: order.dialect, backend: listing.backend, asked: .now)
    // Only Ollama names its version there; its models do not always say whose they are.
    if facts.backend == .ollama || facts.backend == .other,
      let (answer, _) = try? await get(
        order.url + "/api/version", secret, as: ServerVersion.self),
      let version = answer.version
    {
      if facts.backend == .other, order.dialect == nil,
        (try? await get(order.url + "/api/tags", secret, as: OllamaTags.self)) != nil
      {
        facts.backend = .ollama
      }
      if facts.backend == .ollama { facts.version = "Ollama \(version)" }
    }
    switch facts.backend {
    case .llamaCpp:
      if let (props, _) = try? await get(order.url + "/props", secret, as: LlamaProps.self) {
        facts.slots = props.totalSlots
        facts.version = props.buildInfo.map { "llama.cpp \($0)" }
        facts.contextTokens = props.contextTokens
      }
    case .vLLM:
      if let (answer, _) = try? await get(
        order.url + "/version", secret, as: ServerVersion.self)
      {
        facts.version = answer.version.map { "vLLM \($0)" }
      }
    case .lmStudio, .llamaFarm, .anthropic: facts.version = facts.backend.name
    case .ollama, .other: break
    }
    // The whole text is kept; the message quotes its beginning.
    facts.version = facts.version?.cut(toBytes: Limits.hostVersionBytes.value)
    details.withLock { known in
      if known.count >= Self.maximumDetails { known.removeAll() }
      known[order.host] = facts
    }
    return facts
  }

  // MARK: - HTTP

  private struct NotOK: Error {
    let status: UInt
    /// The error is of the shape that only Anthropic's API gives.
    var isAnthropic = false
  }

  private struct NotModels: Error {}

  /// - Returns: the answer, and what the server calls itself.
  private func get<Answer: Decodable>(
    _ url: String, _ secret: String?, anthropic: Bool = false, as: Answer.Type
  ) async throws -> (Answer, server: String) {
    var request = HTTPClientRequest(url: url)
    request.headers.add(name: "accept", value: "application/json")
    request.headers.add(name: "user-agent", value: "tutti-registry/\(Version.current)")
    if anthropic { request.headers.add(name: "anthropic-version", value: "2023-06-01") }
    if let secret {
      request.headers.add(
        name: anthropic ? "x-api-key" : "authorization",
        value: anthropic ? secret : "Bearer \(secret)")
    }
    let response = try await exchange(request)
    let data = Data(response.body.readableBytesView)
    guard response.status == .ok else {
      let error = try? JSONDecoder().decode(AnthropicError.self, from: data)
      throw NotOK(status: response.status.code, isAnthropic: error?.type == "error")
    }
    do {
      return (try JSONDecoder().decode(Answer.self, from: data), response.server)
    } catch {
      throw NotModels()
    }
  }

  private struct Exchanged: Sendable {
    var status: HTTPResponseStatus
    var server: String
    var body: ByteBuffer
  }

  /// The HTTP client's own deadline ends with the response's head; a host that sends its body byte by
  /// byte would hold a probe's place for ever.
  private func exchange(_ request: HTTPClientRequest) async throws -> Exchanged {
    let nanoseconds = Self.deadline.wholeMilliseconds * 1_000_000
    return try await withThrowingTaskGroup(of: Exchanged?.self) { [client] group in
      group.addTask {
        let response = try await client.execute(
          request, deadline: .now() + .nanoseconds(nanoseconds))
        // Reading also an error's body leaves the connection usable.
        let body = try await response.body.collect(upTo: Self.maximumBytes)
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

  private static func judged(_ error: any Error, path: String) -> ProbeResult {
    switch error {
    case let error as NotOK where error.status == 503:
      .failed(absent: false, reason: "GET \(path) gives 503: it is loading or overloaded")
    case let error as NotOK where error.status == 401 || error.status == 403:
      .failed(
        absent: true,
        reason: "GET \(path) gives \(error.status): it wants another credential; name one with "
          + "`tutti hosts add --credential`")
    case let error as NotOK:
      .failed(
        absent: true, reason: "GET \(path) gives \(error.status): is it a model server?")
    case is NotModels:
      .failed(absent: true, reason: "GET \(path) gives no list of models")
    case is NIOTooManyBytesError:
      .failed(absent: true, reason: "GET \(path) gives more than \(maximumBytes) bytes")
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
