import ClusterModel
import GatewayCore
import Text

/// One client request, and what the client receives for it.
final class SimulatedRequest {
  /// The route that the request's model name selects.
  enum Route: Hashable, Sendable {
    case direct
    case fast
    case plan(PatternName)

    /// The routes of plans.
    static let plans = PatternName.allCases.map(Route.plan)

    /// The request's model name.
    var model: String {
      switch self {
      case .direct: SimulatedHost.model.name
      case .fast: GatewayRouting.fast
      case .plan(let pattern): pattern.rawValue
      }
    }

    /// Whether a gateway and a host can always answer the request without other services.
    var isDirect: Bool { self == .direct || self == .fast }
  }

  enum Outcome: Sendable {
    case answered
    case failed(Failure)
    /// The gateway died.
    case disconnected
    /// The client left.
    case left
  }

  let number: Int
  let route: Route
  let streams: Bool
  let question: String
  let begun: Instant
  /// Whether the request was sent after the end of all faults.
  let isLast: Bool
  private unowned let cluster: SimulatedCluster
  /// The gateway that has the request. `nil` means that the request has ended.
  var gateway: SimulatedProcess?
  private(set) var text = ""
  private(set) var outcome: Outcome?
  private var finishes = 0

  /// Deadline of a direct request. A plan has its own.
  static let total = Duration.seconds(40)

  init(
    number: Int, route: Route, streams: Bool, question: String, isLast: Bool,
    cluster: SimulatedCluster
  ) {
    self.number = number
    self.route = route
    self.streams = streams
    self.question = question
    self.isLast = isLast
    self.cluster = cluster
    begun = cluster.time.now
  }

  /// The body of the HTTP request.
  func body(seed: UInt64) -> [UInt8] {
    var members: [(String, JSON)] = [
      ("model", .string(route.model)),
      ("messages", [["role": "user", "content": .string(question)]]),
      ("stream", .boolean(streams)),
    ]
    if streams { members.append(("stream_options", ["include_usage": true])) }
    var options: [(String, JSON)] = [("seed", .integer(Int(seed & 0xFFFF_FFFF)))]
    if route.isDirect {
      options.append(("deadlines_ms", ["total": .integer(Int(Self.total.wholeMilliseconds))]))
    }
    members.append(("tutti", .object(options)))
    return JSON.object(members).encoded
  }

  /// Name in the log and in violations.
  var name: String { "request \(number) (\(route.model)\(streams ? ", stream" : ""))" }

  // MARK: - From the gateway

  /// The data of one event of the stream.
  func receive(chunk: [UInt8]) {
    guard expectsMore("a chunk"), let document = document(chunk) else { return }
    guard
      let choice = document.value("choices", in: document.root)
        .flatMap({ document.firstElement(of: $0) })
    else { return }
    if let reason = document.value("finish_reason", in: choice), reason.kind == .string {
      finishes += 1
    }
    guard let delta = document.value("delta", in: choice),
      let content = document.value("content", in: delta)
    else { return }
    text += document.string(content) ?? ""
  }

  func receive(body: [UInt8]) {
    guard expectsMore("a body"), let document = document(body) else { return }
    guard
      let choice = document.value("choices", in: document.root)
        .flatMap({ document.firstElement(of: $0) }),
      let message = document.value("message", in: choice),
      let content = document.value("content", in: message)
    else { return cluster.violation("\(name) got a body without a message") }
    finishes += 1
    text += document.string(content) ?? ""
  }

  func end(_ outcome: Outcome) {
    guard self.outcome == nil else {
      return cluster.violation("\(name) ended twice: \(self.outcome as Any), then \(outcome)")
    }
    self.outcome = outcome
    gateway = nil
    if case .answered = outcome, finishes != 1 {
      cluster.violation("\(name) has \(finishes) finish reasons")
    }
    cluster.ended(self, outcome)
  }

  private func expectsMore(_ what: String) -> Bool {
    if outcome != nil { cluster.violation("\(name) got \(what) after its end") }
    return outcome == nil
  }

  private func document(_ json: [UInt8]) -> JSONDocument? {
    if let document = try? JSONDocument(validating: json) { return document }
    cluster.violation("\(name) got invalid JSON: \(String(decoding: json, as: UTF8.self))")
    return nil
  }
}
