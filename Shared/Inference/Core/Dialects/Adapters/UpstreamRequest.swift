public import ClusterModel
public import Limits
import Text

/// A request to a host, with the facts that are needed to read its answer.
public struct UpstreamRequest: Hashable, Sendable {
  public struct Header: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Path relative to the host's base URL.
  public var path: String
  /// Headers of the dialect. The sender adds all other headers, such as the trace and hop headers.
  public var headers: [Header]
  public var body: [UInt8]
  public var reading: UpstreamReading
  /// How the host is asked to resume.
  ///
  /// `nil` means that the host's answer starts from the beginning. This happens even with a resume
  /// point, if the prefix is empty or the request cannot be resumed.
  public var resumed: ResumeWay?

  init(
    path: String, headers: [Header], body: [UInt8], reading: UpstreamReading,
    resumed: ResumeWay? = nil
  ) {
    self.path = path
    self.headers = headers
    self.body = body
    self.reading = reading
    self.resumed = resumed
  }

  /// Translates a request into the host's dialect.
  ///
  /// - Parameters:
  ///   - resume: the resume point. `nil` means that the answer has not begun. If the host resumes,
  ///     `max_tokens` is reduced by the tokens spent. If the host starts over, `max_tokens` is
  ///     unchanged.
  ///   - secret: the secret that the host's credential refers to. `nil` means that there is none.
  public init(
    _ request: InferenceRequest, to candidate: Candidate, from resume: ResumePoint? = nil,
    secret: String? = nil
  ) throws(AdapterRefusal) {
    var request = request
    request.body = candidate.form.applied(to: request.body)
    let order = UpstreamOrder(request, candidate, resume, secret)
    switch (candidate.host.dialect, request.endpoint) {
    // Ollama's native completion endpoint applies a chat template. Its OpenAI endpoint applies the
    // template too, and needs no translation.
    case (.openai, _), (.ollama, .completions): self = try OpenAIAdapter.request(order)
    case (.anthropic, _): self = try AnthropicAdapter.request(order)
    case (.ollama, .chatCompletions): self = try OllamaAdapter.chat(order)
    case (.ollama, .embeddings): self = try OllamaAdapter.embeddings(order)
    }
  }

  /// Why hosts of a dialect cannot answer a request, worded to follow a host's name.
  ///
  /// `nil` means that such hosts can answer, or that no host can, because the request is invalid.
  /// For `openai`, which accepts every request, the check costs nothing.
  public static func refusal(of request: InferenceRequest, by dialect: HostDialect) -> String? {
    guard !dialect.expressesEveryRequest else { return nil }
    let host = Host(id: "", url: "", dialect: dialect)
    do throws(AdapterRefusal) {
      _ = try UpstreamRequest(request, to: Candidate(host: host, model: request.model ?? ""))
      return nil
    } catch {
      return error.kind == .untranslatable ? error.reason : nil
    }
  }
}

/// Input of an adapter: the request, its host and the resume point.
struct UpstreamOrder {
  let request: InferenceRequest
  let host: Host
  /// The host's own name of the model.
  let model: ModelID
  /// The client's name of the model if it is an alias. The host's answer gets this name. `nil`
  /// means that the client uses the host's own name.
  let alias: ModelID?
  /// The resume point. `nil` means that the answer starts from the beginning.
  let resume: ResumePoint?
  let secret: String?
  let form: RequestForm

  init(
    _ request: InferenceRequest, _ candidate: Candidate, _ resume: ResumePoint?, _ secret: String?
  ) {
    self.request = request
    host = candidate.host
    model = candidate.hostModel
    alias = candidate.upstream == nil ? nil : candidate.model
    // Without a prefix, the host starts over with the full token limit.
    self.resume = resume.flatMap {
      guard !$0.prefix.isEmpty else { return nil }
      return candidate.host.resume == .instruct ? $0.inWords : $0.withoutAnchor
    }
    self.secret = secret
    form = candidate.form
  }

  /// Whether the answer is read as a stream.
  var streams: Bool {
    // A resumed answer is always read as a stream. If the host sends one body, it is read as one
    // chunk.
    request.endpoint != .embeddings && (request.stream || !asksForBody || resume != nil)
  }

  /// Whether the host is asked for one body instead of a stream. Only the adapter for `openai` does
  /// so.
  var asksForBody: Bool { form.contains(.unstreamed) && request.endpoint != .embeddings }

  /// The path of OpenAI's API, relative to the host's base URL.
  var path: String {
    let path = request.endpoint.rawValue
    return host.omitsV1 && path.hasPrefix("/v1") ? String(path.dropFirst(3)) : path
  }

  /// The text that the host continues. Empty means that the answer starts from the beginning.
  var prefix: String { String(decoding: resume?.prefix ?? [], as: UTF8.self) }

  /// - Parameter streams: whether the answer is read as a stream. `nil` means that it is,
  ///   except at the embeddings endpoint.
  func reading(
    _ dialect: HostDialect, wantsUsage: Bool, resumed: ResumeWay? = nil, base64: Bool = false,
    choices: Int = 1, vectors: Int? = nil, streams: Bool? = nil
  ) -> UpstreamReading {
    UpstreamReading(
      dialect: dialect, endpoint: request.endpoint,
      streams: streams ?? (request.endpoint != .embeddings),
      wantsUsage: !request.stream || wantsUsage, id: "chatcmpl-\(request.trace.trace)",
      model: alias ?? model, isAlias: alias != nil,
      prefix: resumed == nil ? [] : resume?.prefix ?? [], encodesBase64: base64,
      choices: choices, vectors: vectors)
  }

  func headers(_ dialect: HostDialect, accept: String) -> [UpstreamRequest.Header] {
    [
      UpstreamRequest.Header("content-type", "application/json"),
      UpstreamRequest.Header("accept", accept),
    ] + dialect.headers(secret: secret)
  }
}

/// Facts of the request that are needed to read the host's answer.
public struct UpstreamReading: Hashable, Sendable {
  public var dialect: HostDialect
  public var endpoint: InferenceEndpoint
  /// Whether the answer is read as chunks. A whole body then becomes one chunk. If `false`, the
  /// body is passed on as one body.
  public var streams: Bool
  /// Whether a chunk that holds only usage is sent to the client.
  public var wantsUsage: Bool
  /// ID of the chunks that Tutti writes for hosts of other dialects than OpenAI's.
  public var id: String
  public var model: ModelID
  /// Whether the host has another name for the model. The host's answers then get the client's
  /// name.
  var isAlias: Bool
  /// Creation time for chunks that Tutti writes, in seconds since 1970. The caller sets it, because
  /// this code has no clock.
  public var created: Int
  /// Text of the answer so far. A host that answers in one body may repeat it before it continues.
  public var prefix: [UInt8]
  /// Whether Tutti encodes an Ollama host's embeddings for the client, as base64 of little-endian
  /// 32-bit floats. Other hosts encode their embeddings themselves.
  var encodesBase64: Bool
  /// Choices that the request asks for. An answer with more choices is garbage.
  public var choices: Int
  /// Embeddings that the request asks for. `nil` means that the number is unknown.
  var vectors: Int?

  public init(
    dialect: HostDialect = .openai, endpoint: InferenceEndpoint, streams: Bool,
    wantsUsage: Bool = true, id: String = "", model: ModelID = "", isAlias: Bool = false,
    created: Int = 0,
    prefix: [UInt8] = [], encodesBase64: Bool = false, choices: Int = Limits.answerChoices.value,
    vectors: Int? = nil
  ) {
    self.dialect = dialect
    self.endpoint = endpoint
    self.streams = streams
    self.wantsUsage = wantsUsage
    self.id = id
    self.model = model
    self.isAlias = isAlias
    self.created = created
    self.prefix = prefix
    self.encodesBase64 = encodesBase64
    self.choices = choices
    self.vectors = vectors
  }
}

/// Why a request cannot be translated into a host's dialect.
public struct AdapterRefusal: Error, Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// The dialect cannot express the request. A host of another dialect may answer it.
    case untranslatable
    /// The request is invalid, so every host would refuse it.
    case invalid
  }

  public var kind: Kind
  /// The reason, worded to follow the host's name: "cannot give several choices (n = 3)".
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

  /// The refusal as a failed attempt.
  public var failure: AttemptFailure {
    AttemptFailure(kind == .invalid ? .rejected : .unsuited, "it \(reason)")
  }
}
