import ClusterModel
import GatewayCore
import Limits
import OverloadCore
import ServiceKit

struct GatewayConfiguration: ServiceConfiguration {
  static let service = ServiceName.gateway
  static let summary = "The cluster's one OpenAI-compatible endpoint."

  private static let deadline = Setting.Kind.duration(
    unit: .seconds, .milliseconds(1) ... .seconds(3_600))

  static let settings = own + shares + InferenceConfiguration.settings

  private static let shares = [
    Setting(
      "gateway.memory_budget", .bytes((16 << 20)...(1 << 40)),
      default: bytes(Limits.processMemory),
      help: "Memory for all request bodies, answers, unread chunks and plans. At the limit the "
        + "largest unread stream is ended, and new requests get 503 with Retry-After."),
    Setting(
      "gateway.max_connections", .integer(8...1_000_000), default: count(Limits.connections),
      help: "Maximum connections of clients. At the limit the connection that has been idle "
        + "longest is closed."),
    Setting(
      "gateway.connections_per_client", .integer(1...1_000_000),
      default: count(Limits.connectionsPerClient),
      help: "Maximum connections from one address (IPv6: one /64 network). Raise this and the "
        + "other limits per client if all clients connect through one proxy."),
    Setting(
      "gateway.connections_per_local_client", .integer(1...1_000_000),
      default: count(Limits.connectionsPerLocalClient),
      help: "Maximum connections of all programs on this machine together."),
    Setting(.gatewayRequestsPerClient),
    Setting(.gatewayRequestsPerLocalClient),
    Setting(
      "gateway.request_bytes_per_client", .bytes((1 << 20)...(1 << 40)),
      default: bytes(Limits.requestBytesPerClient),
      help:
        "Maximum bytes of request bodies in memory for one key, or for one address without keys. "
        + "Further bodies wait; after 20 s they get 429 with Retry-After. Raise it, together with "
        + "gateway.memory_budget, for clients that send many large bodies at once."),
    Setting(
      "gateway.request_bytes_per_local_client", .bytes((1 << 20)...(1 << 40)),
      default: bytes(Limits.requestBytesPerLocalClient),
      help: "The same for all programs on this machine together, as far as they have no keys."),
    Setting(.gatewayPlansPerClient),
    Setting(.gatewayPlansPerLocalClient),
  ]

  private static func count(_ limit: Limit) -> String { String(limit.value) }
  private static func bytes(_ limit: Limit) -> String { "\(limit.value >> 20)MiB" }

  private static let own = [
    Setting(
      "gateway.port", .address, default: "8080",
      help: "Address of the API for clients: PORT or HOST:PORT."),
    Setting(.gatewayRequests),
    Setting(.revokedStreams),
    Setting(
      "gateway.keep_alive", .duration(unit: .seconds, .milliseconds(10) ... .seconds(300)),
      default: "15s",
      help: "Interval between the comment lines that a stream sends before its first token."),
    Setting(
      "gateway.head_deadline", deadline, default: "10s",
      help: "Maximum time for a client to send the head of a request; then it is disconnected."),
    Setting(
      "gateway.body_deadline", deadline, default: "30s",
      help: "Maximum time for a client to send the body of a request, plus one second per MiB; "
        + "then it is disconnected."),
    Setting(.gatewayDefaultModel),
    Setting(.gatewayFastModel),
    Setting(.gatewayPlanModels),
    Setting(
      "gateway.forwarded_headers",
      .list(of: .name, atMost: Limits.forwardedHeaders.value - ForwardedHeaders.standardCount),
      help:
        "Client headers that are forwarded to the host, in addition to openai-organization, "
        + "openai-project and user-agent."),
    Setting(
      "gateway.first_token_deadline", deadline,
      help: "Maximum wait for the first token of a host; then the host is given up. Default: from "
        + "each host's own history, 60s for a new host. Requests can set their own. This and the "
        + "next three settings also apply to the tasks of plans."),
    Setting(
      "gateway.inter_token_deadline", deadline,
      help: "Maximum pause of a host during an answer; then the host is given up and another host "
        + "resumes the answer. Default: from each host's own history, 30s for a new host."),
    Setting(
      "gateway.minimum_rate", .real(0...10_000),
      help: "Minimum tokens per second. A slower host is given up if another host could be faster. "
        + "Default: a tenth of the host's usual rate."),
    Setting(
      "gateway.total_deadline", deadline, default: "10m",
      help: "Maximum total time of an answer."),
    Setting(
      "gateway.plan_deadline", deadline,
      help: "Maximum total time of an answer by a plan. Default: gateway.total_deadline."),
    Setting(
      "gateway.embeddings_deadline", deadline,
      help: "Maximum total time of an embeddings request. Default: gateway.total_deadline."),
  ]

  var address: HostAndPort
  var maximumRequests: Int
  var memoryBudget: Int
  var connections: ConnectionLimits
  var remoteShare: ClientShare
  var localShare: ClientShare
  var keepAlive: Duration
  /// Maximum time in which a client may send the head of its request.
  var headDeadline: Duration
  var bodyDeadline: Duration
  /// Deadlines of direct answers and plans. A plan passes its deadlines on to its tasks.
  var deadlines: RouteDeadlines
  var inference: InferenceConfiguration
  /// Treatment of running answers whose key is no longer valid.
  var revokedStreams: RevokedStreams
  var models: ModelChoices
  var forwardedHeaders: ForwardedHeaders

  init(_ values: inout SettingValues) {
    address = values.address("gateway.port")
    values.checkListening(
      "gateway.port", address, asksForKeys: values.toggle("cluster.require_keys"))
    maximumRequests = values.integer(.gatewayRequests)
    memoryBudget = values.bytes("gateway.memory_budget")
    connections = ConnectionLimits(
      total: values.integer("gateway.max_connections"),
      perClient: values.integer("gateway.connections_per_client"),
      perLocalClient: values.integer("gateway.connections_per_local_client"))
    remoteShare = ClientShare(
      requests: values.integer(.gatewayRequestsPerClient),
      requestBytes: values.bytes("gateway.request_bytes_per_client"),
      plans: values.integer(.gatewayPlansPerClient))
    localShare = ClientShare(
      requests: values.integer(.gatewayRequestsPerLocalClient),
      requestBytes: values.bytes("gateway.request_bytes_per_local_client"),
      plans: values.integer(.gatewayPlansPerLocalClient))
    keepAlive = values.duration("gateway.keep_alive")
    headDeadline = values.duration("gateway.head_deadline")
    bodyDeadline = values.duration("gateway.body_deadline")
    deadlines = RouteDeadlines(
      Deadlines(
        firstToken: values.optionalDuration("gateway.first_token_deadline"),
        interToken: values.optionalDuration("gateway.inter_token_deadline"),
        total: values.duration("gateway.total_deadline"),
        minimumRate: values.optionalReal("gateway.minimum_rate")),
      plan: values.optionalDuration("gateway.plan_deadline"),
      embeddings: values.optionalDuration("gateway.embeddings_deadline"))
    inference = InferenceConfiguration(&values)
    revokedStreams = values.choice(.revokedStreams)
    models = ModelChoices(
      requests: values.name(.gatewayDefaultModel), fast: values.name(.gatewayFastModel),
      plans: values.name(.gatewayPlanModels))
    do throws(ForwardedHeaders.Forbidden) {
      forwardedHeaders = try ForwardedHeaders(values.list("gateway.forwarded_headers"))
    } catch {
      forwardedHeaders = ForwardedHeaders.none
      values.reject(
        "gateway.forwarded_headers",
        "names \(error.name), which carries a secret or belongs to one connection")
    }
  }
}
