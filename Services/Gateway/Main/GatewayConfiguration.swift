import ClusterModel
import GatewayCore
import ServiceKit

struct GatewayConfiguration: ServiceConfiguration {
  static let service = ServiceName.gateway
  static let summary = "The cluster's one OpenAI-compatible endpoint."

  private static let deadline = Setting.Kind.duration(
    unit: .seconds, .milliseconds(1) ... .seconds(3_600))

  static let settings = own + InferenceConfiguration.settings

  private static let own = [
    Setting(
      "gateway.port", .address, default: "8080",
      help: "Where clients are served: PORT or HOST:PORT."),
    Setting(
      "gateway.max_requests", .integer(1...100_000), default: "512",
      help: "Requests answered at once; more get 503 with Retry-After."),
    Setting(
      "gateway.keep_alive", .duration(unit: .seconds, .milliseconds(10) ... .seconds(300)),
      default: "15s",
      help: "A stream gets a comment line this often until its first token comes."),
    Setting(
      "gateway.head_deadline", deadline, default: "10s",
      help: "A client that has not sent the head of its request by then is cut off."),
    Setting(
      "gateway.body_deadline", deadline, default: "30s",
      help: "A client that has not sent its request by then, and one second more for each MiB, is "
        + "cut off."),
    Setting(
      "gateway.first_token_deadline", deadline,
      help: "A host that has sent no token by then is given up. Default: from each host's own "
        + "history, 60s for a new one. Requests can set their own. Like the next three it holds for "
        + "the tasks of plans too."),
    Setting(
      "gateway.inter_token_deadline", deadline,
      help: "A host that sends nothing for so long in mid-answer is given up, and another goes on. "
        + "Default: from each host's own history, 30s for a new one."),
    Setting(
      "gateway.minimum_rate", .real(0...10_000),
      help: "A host that makes fewer tokens a second is given up when another could do better. "
        + "Default: a tenth of what the host usually makes."),
    Setting(
      "gateway.total_deadline", deadline, default: "10m",
      help: "The longest that an answer may take in all."),
    Setting(
      "gateway.plan_deadline", deadline,
      help: "The same for an answer by a plan. Default: gateway.total_deadline."),
    Setting(
      "gateway.embeddings_deadline", deadline,
      help: "The same for embeddings. Default: gateway.total_deadline."),
  ]

  var address: HostAndPort
  var maximumRequests: Int
  var keepAlive: Duration
  /// For clients that send slowly.
  var headDeadline: Duration
  var bodyDeadline: Duration
  /// Of plans too: they travel with the tasks.
  var deadlines: RouteDeadlines
  var inference: InferenceConfiguration

  init(_ values: inout SettingValues) {
    address = values.address("gateway.port")
    values.checkListening("gateway.port", address, asksForKeys: false)
    maximumRequests = values.integer("gateway.max_requests")
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
  }
}
