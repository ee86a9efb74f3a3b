import AsyncHTTPClient
import ClusterModel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import RegistryCore
import Synchronization

/// Asks one host how it does. Holds no opinion: `HostRegistry` judges.
final class HostProber: Sendable {
  /// A healthy server lists its models in milliseconds; a busy one may need longer than a network
  /// round trip, but not this long.
  static let deadline: Duration = .seconds(2)
  /// 1,000 models of 2 KB each.
  private static let maximumBytes = 2 * 1_024 * 1_024
  /// Slots and version change only when the server restarts, which also fails a probe or two.
  private static let detailsLast: Duration = .seconds(60)
  /// As many as there can be hosts.
  private static let maximumDetails = 1_000

  private struct Details {
    var slots: Int?
    var version: String?
    var contextTokens: Int?
    var asked: ContinuousClock.Instant
  }

  private let client: HTTPClient
  private let details = Mutex<[HostID: Details]>([:])

  init(client: HTTPClient) { self.client = client }

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
    let began = ContinuousClock.now
    do {
      let listing = try await get(order.url + "/v1/models", as: ModelListing.self)
      let roundTrip = began.duration(to: .now)
      let facts = await facts(of: order, family: listing.family)
      return .answered(
        ProbeReport(
          models: listing.entries.map { $0.offer(contextTokens: facts.contextTokens) },
          slots: facts.slots, version: facts.version, roundTrip: roundTrip))
    } catch {
      details.withLock { $0[order.host] = nil }
      return Self.judged(error)
    }
  }

  // MARK: - Slots and version, where the server tells

  private func facts(of order: ProbeOrder, family: ModelListing.Family) async -> Details {
    if let known = details.withLock({ $0[order.host] }),
      known.asked.duration(to: .now) < Self.detailsLast
    {
      return known
    }
    var facts = Details(asked: .now)
    switch family {
    case .llamaCpp:
      if let props = try? await get(order.url + "/props", as: LlamaProps.self) {
        facts.slots = props.totalSlots
        facts.version = props.buildInfo.map { "llama.cpp \($0)" }
        facts.contextTokens = props.contextTokens
      }
    case .vLLM:
      if let answer = try? await get(order.url + "/version", as: ServerVersion.self) {
        facts.version = answer.version.map { "vLLM \($0)" }
      }
    case .other:
      break
    }
    details.withLock { known in
      if known.count >= Self.maximumDetails { known.removeAll() }
      known[order.host] = facts
    }
    return facts
  }

  // MARK: - HTTP

  private struct NotOK: Error {
    let status: UInt
  }

  private struct NotModels: Error {}

  private func get<Answer: Decodable>(_ url: String, as: Answer.Type) async throws -> Answer {
    var request = HTTPClientRequest(url: url)
    request.headers.add(name: "accept", value: "application/json")
    request.headers.add(name: "user-agent", value: "tutti-registry/\(Version.current)")
    let nanoseconds = Self.deadline.wholeMilliseconds * 1_000_000
    let response = try await client.execute(
      request, deadline: .now() + .nanoseconds(nanoseconds))
    // Reading also an error's body leaves the connection usable.
    let body = try await response.body.collect(upTo: Self.maximumBytes)
    guard response.status == .ok else { throw NotOK(status: response.status.code) }
    do {
      return try JSONDecoder().decode(Answer.self, from: Data(body.readableBytesView))
    } catch {
      throw NotModels()
    }
  }

  private static func judged(_ error: any Error) -> ProbeResult {
    switch error {
    case let error as NotOK where error.status == 503:
      .failed(absent: false, reason: "GET /v1/models gives 503: it is loading or overloaded")
    case let error as NotOK where error.status == 401 || error.status == 403:
      .failed(absent: true, reason: "GET /v1/models gives \(error.status): it wants credentials")
    case let error as NotOK:
      .failed(
        absent: true, reason: "GET /v1/models gives \(error.status): is it OpenAI-compatible?")
    case is NotModels:
      .failed(absent: true, reason: "GET /v1/models gives no list of models")
    case is NIOTooManyBytesError:
      .failed(absent: true, reason: "GET /v1/models gives more than \(maximumBytes) bytes")
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
        reason: "the connection failed (\(String(describing: error).prefix(120)))")
    }
  }
}

/// `GET /v1/models`, and what it gives away about the server.
struct ModelListing: Decodable {
  enum Family { case llamaCpp, vLLM, other }

  struct Entry: Decodable {
    var id: String
    var ownedBy: String?
    /// vLLM.
    var maxModelLen: Int?

    enum CodingKeys: String, CodingKey {
      case id
      case ownedBy = "owned_by"
      case maxModelLen = "max_model_len"
    }

    func offer(contextTokens: Int?) -> ModelOffer {
      let tokens = maxModelLen ?? contextTokens
      return ModelOffer(id: ModelID(id), contextTokens: tokens.flatMap { $0 > 0 ? $0 : nil })
    }
  }

  var entries: [Entry]

  enum CodingKeys: String, CodingKey { case entries = "data" }

  var family: Family {
    switch entries.first?.ownedBy {
    case "llamacpp": .llamaCpp
    case "vllm": .vLLM
    default: .other
    }
  }
}

/// llama.cpp's `GET /props`.
struct LlamaProps: Decodable {
  struct Generation: Decodable {
    var contextTokens: Int?
    enum CodingKeys: String, CodingKey { case contextTokens = "n_ctx" }
  }

  var totalSlots: Int?
  var buildInfo: String?
  var generation: Generation?
  var contextTokens: Int? { generation?.contextTokens }

  enum CodingKeys: String, CodingKey {
    case totalSlots = "total_slots"
    case buildInfo = "build_info"
    case generation = "default_generation_settings"
  }
}

struct ServerVersion: Decodable {
  var version: String?
}
