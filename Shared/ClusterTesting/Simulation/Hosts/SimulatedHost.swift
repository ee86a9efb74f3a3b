import ClusterModel
import InferenceCore
import RegistryCore
import Text

/// A backend: sends real OpenAI bytes at its own speed, and fails in the ways of real backends.
final class SimulatedHost {
  enum Mood: String, CaseIterable {
    case well
    /// Refuses connections; running answers break.
    case down
    /// Answers 503.
    case busy
    /// Closes the connection in mid-answer.
    case breaksOff = "breaks off"
    /// Stops sending without closing the connection.
    case stalls
    /// Sends at a twentieth of its speed.
    case crawls
    /// Ends the stream without a finish reason.
    case cutsShort = "cuts short"
    /// Sends an event that is no JSON, and then nothing more.
    case garbles
  }

  /// Callbacks for the events of one request.
  struct Events {
    var head: (Int) -> Void
    var bytes: ([UInt8]) -> Void
    var end: () -> Void
    var failed: (AttemptFailure) -> Void
  }

  /// A request to the host and its answer so far. The token counts are the host's own.
  final class Answer {
    let prompt: ModelPrompt
    let events: Events
    fileprivate(set) var isOver = false
    fileprivate(set) var hasHead = false
    /// Tokens sent so far.
    fileprivate(set) var sent = 0
    fileprivate(set) var sentBytes = 0
    /// The usage that the host reported. `nil` means that it reported none.
    fileprivate(set) var reported: Usage?

    init(_ prompt: ModelPrompt, _ events: Events) {
      self.prompt = prompt
      self.events = events
    }
  }

  let id: HostID
  let slots: Int
  let resume: ResumeWay
  /// Whether the host is older than the minimum version. Such a host must not get requests.
  let isOld: Bool
  private let firstToken: Duration
  private let perToken: Duration
  private(set) var mood = Mood.well
  private unowned let cluster: SimulatedCluster
  private var chance: SplitMix64
  private var running: [Answer] = []

  init(number: Int, cluster: SimulatedCluster, chance: SplitMix64) {
    var chance = chance
    id = HostID("host-\(number)")
    slots = chance.nextInt(in: 2..<6)
    resume = ResumeWay.allCases[chance.nextInt(in: 0..<3)]
    firstToken = .milliseconds(chance.nextInt(in: 30..<400))
    perToken = .milliseconds(chance.nextInt(in: 4..<40))
    isOld = number == cluster.scenario.oldHost
    self.cluster = cluster
    self.chance = chance
  }

  var url: String { "http://\(id)" }
  static let model: ModelID = "simulated-8b"
  private var model: ModelID { Self.model }
  var runningCount: Int { running.count }

  func change(to mood: Mood) {
    self.mood = mood
    cluster.log.note("\(id)", "mood: \(mood.rawValue)")
    if mood == .down {
      for answer in running { fail(answer, .lost, "the connection was lost (reset)") }
    }
  }

  private func later(_ delay: Duration, _ action: @escaping () -> Void) {
    cluster.time.schedule(after: delay, action)
  }

  // MARK: - Probes

  func probe(_ then: @escaping (ProbeResult) -> Void) {
    switch mood {
    case .down:
      later(.milliseconds(1)) { then(.failed(absent: true, reason: "connection refused")) }
    case .well, .busy, .breaksOff, .stalls, .crawls, .cutsShort, .garbles:
      let report = ProbeReport(
        models: [ModelOffer(id: model, contextTokens: 8_192)], slots: slots,
        version: isOld ? "Simulator 1.9" : "Simulator 2.0", resume: resume,
        roundTrip: .milliseconds(2))
      later(.milliseconds(2)) { then(.answered(report)) }
    }
  }

  // MARK: - Requests

  func ask(_ request: UpstreamRequest, _ events: Events) -> Answer? {
    guard let prompt = ModelPrompt(body: request.body) else {
      cluster.violation(
        "\(id) cannot read a request: \(String(decoding: request.body, as: UTF8.self))")
      return nil
    }
    if isOld { cluster.violation("\(id) is asked although it is too old") }
    let answer = Answer(prompt, events)
    if let prefix = prompt.prefix, !prompt.full.utf8.starts(with: prefix.utf8) {
      cluster.violation("\(id) is to continue \"\(prefix)\", but the answer is \"\(prompt.full)\"")
    }
    guard mood != .down else {
      later(.milliseconds(1)) { [self] in fail(answer, .connect, "connection refused") }
      return answer
    }
    running.append(answer)
    let crowd = max(1, running.count / slots)
    guard mood != .busy else {
      later(.milliseconds(5)) { [self] in refuse(answer) }
      return answer
    }
    let pieces = pieces(of: prompt.text)
    let last = breakPoint(pieces.count)
    later(firstToken * crowd) { [self] in begin(answer, pieces, until: last) }
    return answer
  }

  /// Ends an answer because its reader has left.
  func cancel(_ answer: Answer) { end(answer) }

  /// Number of pieces after which a fault strikes; `nil` means no fault.
  private func breakPoint(_ count: Int) -> Int? {
    switch mood {
    case .breaksOff, .stalls, .cutsShort, .garbles: chance.nextInt(in: 0..<count)
    case .well, .down, .busy, .crawls: nil
    }
  }

  /// Tokens: words with the space before them. Some words are split into several tokens.
  private func pieces(of text: String) -> [String] {
    var pieces: [String] = []
    var piece: [UInt8] = []
    for byte in text.utf8 {
      let cuts = byte == 0x20 || piece.count >= 4 && chance.nextInt(in: 0..<16) == 0
      if cuts, !piece.isEmpty {
        pieces.append(String(decoding: piece, as: UTF8.self))
        piece = []
      }
      piece.append(byte)
    }
    if !piece.isEmpty { pieces.append(String(decoding: piece, as: UTF8.self)) }
    return pieces
  }

  private func refuse(_ answer: Answer) {
    guard !answer.isOver else { return }
    answer.events.head(503)
    answer.events.bytes(Array(#"{"error":{"message":"the server is overloaded"}}"#.utf8))
    end(answer)
    answer.events.end()
  }

  private func begin(_ answer: Answer, _ pieces: [String], until last: Int?) {
    guard !answer.isOver else { return }
    answer.hasHead = true
    answer.events.head(200)
    guard answer.prompt.streams else {
      return later(pace * pieces.count) { [self] in sendWhole(answer, pieces, until: last) }
    }
    send(answer, chunk(#"{"role":"assistant","content":""}"#))
    sendNext(answer, pieces[...], until: last)
  }

  private var pace: Duration { mood == .crawls ? perToken * 20 : perToken }

  private func sendNext(_ answer: Answer, _ rest: ArraySlice<String>, until last: Int?) {
    guard !answer.isOver else { return }
    if let last, answer.sent >= last { return strike(answer) }
    guard let piece = rest.first else { return finish(answer) }
    answer.sent += 1
    answer.sentBytes += piece.utf8.count
    send(answer, chunk(#"{"content":\#(Self.quoted(piece))}"#))
    later(pace) { [self] in sendNext(answer, rest.dropFirst(), until: last) }
  }

  private func finish(_ answer: Answer) {
    send(answer, chunk("{}", finish: #""stop""#))
    if answer.prompt.includesUsage {
      let usage = usage(answer)
      answer.reported = usage
      send(
        answer,
        #"{"id":"c","object":"chat.completion.chunk","created":1,"model":"\#(model)","choices":[],"#
          + #""usage":\#(Self.json(usage))}"#)
    }
    guard !answer.isOver else { return }
    answer.events.bytes(Array("data: [DONE]\n\n".utf8))
    end(answer)
    answer.events.end()
  }

  private func sendWhole(_ answer: Answer, _ pieces: [String], until last: Int?) {
    guard !answer.isOver else { return }
    if last != nil { return strike(answer) }
    answer.sent = pieces.count
    answer.sentBytes = answer.prompt.text.utf8.count
    let usage = usage(answer)
    answer.reported = usage
    answer.events.bytes(
      Array(
        (#"{"id":"c","object":"chat.completion","created":1,"model":"\#(model)","choices":["#
          + #"{"index":0,"message":{"role":"assistant","content":\#(Self.quoted(pieces.joined()))},"#
          + #""finish_reason":"stop"}],"usage":\#(Self.json(usage))}"#).utf8))
    end(answer)
    answer.events.end()
  }

  /// Lets the host's fault happen.
  private func strike(_ answer: Answer) {
    switch mood {
    case .stalls: break
    case .cutsShort:
      end(answer)
      answer.events.end()
    case .garbles: send(answer, #"{"choices":[{"ind"#)
    case .well, .down, .busy, .breaksOff, .crawls: fail(answer, .lost, "the connection was lost")
    }
  }

  private func send(_ answer: Answer, _ json: String) {
    guard !answer.isOver else { return }
    answer.events.bytes(Array("data: \(json)\n\n".utf8))
  }

  private func fail(_ answer: Answer, _ kind: AttemptFailure.Kind, _ message: String) {
    guard !answer.isOver else { return }
    end(answer)
    let kind: AttemptFailure.Kind = kind == .lost && !answer.hasHead ? .lostBeforeHead : kind
    later(.milliseconds(1)) { answer.events.failed(AttemptFailure(kind, message)) }
  }

  private func end(_ answer: Answer) {
    answer.isOver = true
    running.removeAll { $0 === answer }
  }

  // MARK: - JSON

  private func usage(_ answer: Answer) -> Usage {
    Usage(promptTokens: answer.prompt.promptTokens, completionTokens: answer.sent)
  }

  private func chunk(_ delta: String, finish: String = "null") -> String {
    #"{"id":"c","object":"chat.completion.chunk","created":1,"model":"\#(model)","choices":["#
      + #"{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]}"#
  }

  private static func json(_ usage: Usage) -> String {
    #"{"prompt_tokens":\#(usage.promptTokens),"completion_tokens":\#(usage.completionTokens),"#
      + #""total_tokens":\#(usage.totalTokens)}"#
  }

  private static func quoted(_ text: String) -> String {
    String(decoding: JSON.quoted(text), as: UTF8.self)
  }
}
