public import ClusterModel
public import Limits
import Text

/// What is sent to a host, and how its answer is to be read.
public struct UpstreamRequest: Hashable, Sendable {
  public struct Header: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Follows the host's base URL.
  public var path: String
  /// Those of the dialect. Whoever sends it adds the trace and the hops.
  public var headers: [Header]
  public var body: [UInt8]
  public var reading: UpstreamReading
  /// How the host is asked to go on. nil: its answer begins at the beginning, also where a resume
  /// point was given: an empty prefix, or a request that no backend can continue.
  public var resumed: ResumeWay?

  public init(
    path: String, headers: [Header], body: [UInt8], reading: UpstreamReading,
    resumed: ResumeWay? = nil
  ) {
    self.path = path
    self.headers = headers
    self.body = body
    self.reading = reading
    self.resumed = resumed
  }

  /// Says a request in the host's dialect.
  ///
  /// - Parameters:
  ///   - resume: where the answer goes on; nil: nobody has answered yet. `max_tokens` is lowered by
  ///     what was spent when the host goes on, and stays when it begins anew.
  ///   - secret: what the host's credential refers to.
  public init(
    _ request: InferenceRequest, to candidate: Candidate, from resume: ResumePoint? = nil,
    secret: String? = nil
  ) throws(AdapterRefusal) {
    var request = request
    request.body = candidate.form.applied(to: request.body)
    let order = UpstreamOrder(request, candidate, resume, secret)
    switch (candidate.host.dialect, request.endpoint) {
    // Ollama's own way to complete a prompt puts it through a chat template; its OpenAI way is the
    // same, and needs no translation.
    case (.openai, _), (.ollama, .completions): self = try OpenAIAdapter.request(order)
    case (.anthropic, _): self = try AnthropicAdapter.request(order)
    case (.ollama, .chatCompletions): self = try OllamaAdapter.chat(order)
    case (.ollama, .embeddings): self = try OllamaAdapter.embeddings(order)
    }
  }

  /// Why hosts of a dialect cannot answer a request, to follow a host's name in a sentence; nil if
  /// they can. Costs nothing for `openai`, which takes every request.
  public static func refusal(of request: InferenceRequest, by dialect: HostDialect) -> String? {
    guard dialect != .openai else { return nil }
    let host = Host(id: "", url: "", dialect: dialect)
    do throws(AdapterRefusal) {
      _ = try UpstreamRequest(request, to: Candidate(host: host, model: request.model ?? ""))
      return nil
    } catch {
      return error.kind == .untranslatable ? error.reason : nil
    }
  }
}

/// What is known when a request is said in a dialect.
struct UpstreamOrder {
  let request: InferenceRequest
  let host: Host
  let model: ModelID
  /// nil: the answer begins at the beginning.
  let resume: ResumePoint?
  let secret: String?
  let form: RequestForm

  init(
    _ request: InferenceRequest, _ candidate: Candidate, _ resume: ResumePoint?, _ secret: String?
  ) {
    self.request = request
    host = candidate.host
    model = candidate.model
    // Without a prefix the host begins anew, and may spend as much as anybody.
    self.resume = resume.flatMap {
      guard !$0.prefix.isEmpty else { return nil }
      return candidate.host.resume == .instruct ? $0.inWords : $0.withoutAnchor
    }
    self.secret = secret
    form = candidate.form
  }

  /// Whether the answer is read as a stream.
  var streams: Bool {
    // A body that goes on with a prefix is a chunk of the answer.
    request.endpoint != .embeddings && (request.stream || !asksForBody || resume != nil)
  }

  /// Whether the host is asked for one body, in a dialect that is passed on as it is.
  var asksForBody: Bool { form.contains(.unstreamed) && request.endpoint != .embeddings }

  /// The path of OpenAI's API, after the host's base URL.
  var path: String {
    let path = request.endpoint.rawValue
    return host.omitsV1 && path.hasPrefix("/v1") ? String(path.dropFirst(3)) : path
  }

  /// The text that the host goes on with.
  var prefix: String { String(decoding: resume?.prefix ?? [], as: UTF8.self) }

  /// - Parameter streams: `nil` means that the dialect is always asked for a stream.
  func reading(
    _ dialect: HostDialect, wantsUsage: Bool, resumed: ResumeWay? = nil, base64: Bool = false,
    choices: Int = 1, vectors: Int? = nil, streams: Bool? = nil
  ) -> UpstreamReading {
    UpstreamReading(
      dialect: dialect, endpoint: request.endpoint,
      streams: streams ?? (request.endpoint != .embeddings),
      wantsUsage: !request.stream || wantsUsage, id: "chatcmpl-\(request.trace.trace)",
      model: model, prefix: resumed == nil ? [] : resume?.prefix ?? [], encodesBase64: base64,
      choices: choices, vectors: vectors)
  }

  func headers(_ accept: String, bearer: Bool = true) -> [UpstreamRequest.Header] {
    var headers = [
      UpstreamRequest.Header("content-type", "application/json"),
      UpstreamRequest.Header("accept", accept),
    ]
    if bearer, let secret { headers.append(.init("authorization", "Bearer \(secret)")) }
    return headers
  }
}

/// How a host's answer is read: what the reader must know of the request.
public struct UpstreamReading: Hashable, Sendable {
  public var dialect: HostDialect
  public var endpoint: InferenceEndpoint
  /// Whether the answer is read as chunks, which one body becomes, too; otherwise it is passed on as
  /// it is.
  public var streams: Bool
  /// Whether a chunk of nothing but usage is the client's.
  public var wantsUsage: Bool
  /// For chunks that the host's dialect leaves us to write.
  public var id: String
  public var model: ModelID
  /// Seconds since 1970; set by whoever has a clock.
  public var created: Int
  /// What a host that answers in one piece may echo before it goes on.
  public var prefix: [UInt8]
  /// Embeddings as base64 of little-endian 32-bit floats.
  public var encodesBase64: Bool
  /// Choices that the request asks for. Others are garbage.
  public var choices: Int
  /// Embeddings that the request asks for. `nil` means that the request does not say.
  public var vectors: Int?

  public init(
    dialect: HostDialect = .openai, endpoint: InferenceEndpoint, streams: Bool,
    wantsUsage: Bool = true, id: String = "", model: ModelID = "", created: Int = 0,
    prefix: [UInt8] = [], encodesBase64: Bool = false, choices: Int = Limits.answerChoices.value,
    vectors: Int? = nil
  ) {
    self.dialect = dialect
    self.endpoint = endpoint
    self.streams = streams
    self.wantsUsage = wantsUsage
    self.id = id
    self.model = model
    self.created = created
    self.prefix = prefix
    self.encodesBase64 = encodesBase64
    self.choices = choices
    self.vectors = vectors
  }
}

/// Why a request cannot be said in a host's dialect.
public struct AdapterRefusal: Error, Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// The dialect has no words for it: a host of another dialect may answer.
    case untranslatable
    /// The request is wrong in itself: every host would say so.
    case invalid
  }

  public var kind: Kind
  /// Follows the host's name in a sentence: "cannot give several choices (n = 3)".
  public var reason: String

  public init(_ kind: Kind, _ reason: String) {
    self.kind = kind
    self.reason = reason
  }

  static func cannot(_ what: String) -> AdapterRefusal {
    AdapterRefusal(.untranslatable, "cannot \(what)")
  }

  static func invalid(_ what: String) -> AdapterRefusal {
    AdapterRefusal(.invalid, "cannot read the request: \(what)")
  }

  /// As an attempt that failed.
  public var failure: AttemptFailure {
    AttemptFailure(kind == .invalid ? .rejected : .unsuited, "it \(reason)")
  }
}
