import BusCore
import ClusterModel
import InferenceCore
import Wire

/// A process's inference client: real statistics and budgets, and one `InferenceRun` per request.
final class InferenceNode: ClusterAccess {
  let process: SimulatedProcess
  private var statistics: HostStatistics
  private var speculation = SpeculationBudget()
  private var retry = RetryBudget()
  /// Open sessions by number, so that a death ends them in a fixed order.
  private var sessions: [Int: InferenceSession] = [:]
  private var begun = 0

  init(_ process: SimulatedProcess) {
    self.process = process
    statistics = HostStatistics(
      own: process.id, rules: SimulatedCluster.rules, seed: process.cluster.chance.next())
  }

  func start() { report() }

  private func report() {
    if !process.live(.registry).isEmpty, let report = statistics.report(now: process.now) {
      process.cast(.loadReport(report), to: .service(.registry))
    }
    process.after(LoadRhythm.interval) { [self] in report() }
  }

  // MARK: - ClusterAccess

  func view() -> ClusterView {
    let now = process.now
    statistics.adopt(process.hosts.table, now: now)
    if let merged = process.hosts.load(now: now) {
      statistics.merge(merged.table, age: merged.age, now: now)
    }
    return statistics.view(now: now)
  }

  func requestBegan(at view: ClusterView) {
    speculation.requestBegan(utilisation: view.utilisation)
    retry.requestBegan(now: view.moment)
  }

  func mayRace(at view: ClusterView) -> Bool { speculation.take() }
  func mayRetry(at view: ClusterView) -> Bool { retry.take(now: view.moment) }

  // MARK: - Sessions

  func observe(
    _ observation: HostObservation, of host: HostID, for client: ClientFingerprint?,
    started: Instant
  ) {
    statistics.observe(observation, of: host, for: client, started: started, now: process.now)
  }

  /// - Parameter served: called with the answer to every request that a host has received.
  func infer(
    _ request: InferenceRequest, constraints: InferenceConstraints,
    served: @escaping (SimulatedHost.Answer) -> Void = { _ in },
    event: @escaping (InferenceSession.Event) -> Void
  ) -> InferenceSession {
    begun += 1
    let session = InferenceSession(self, begun, request, constraints, served, event)
    sessions[begun] = session
    process.after(.zero) { session.begin() }
    return session
  }

  fileprivate func ended(_ session: InferenceSession) { sessions[session.number] = nil }

  /// Breaks all connections to hosts, because the process died.
  func died() {
    for (_, session) in sessions.sorted(by: { $0.key < $1.key }) { session.die() }
    sessions = [:]
  }

  var leftovers: [String] {
    var left: [String] = []
    if !sessions.isEmpty { left.append("\(sessions.count) inferences") }
    let inFlight = statistics.inFlight.sorted { $0.key < $1.key }
    if !inFlight.isEmpty { left.append("requests in flight at \(inFlight.map(\.key))") }
    return left
  }
}

/// One request: feeds an `InferenceRun` with a host's bytes and carries out its directives.
final class InferenceSession {
  enum Event {
    case open(InferenceOpening)
    case part(InferenceEvent)
    case end(Failure?)
  }

  private struct Upstream {
    var host: SimulatedHost
    var answer: SimulatedHost.Answer
  }

  private let client: InferenceNode
  let number: Int
  private let request: InferenceRequest
  private let constraints: InferenceConstraints
  private let served: (SimulatedHost.Answer) -> Void
  private let event: (Event) -> Void
  private var run: InferenceRun
  private var upstream: [AttemptID: Upstream] = [:]
  private var readers: [AttemptID: UpstreamReader] = [:]
  private var armed: Instant?
  private var isOver = false
  /// Every request that was sent to a host, for the checks of usage.
  private(set) var answers: [SimulatedHost.Answer] = []

  fileprivate init(
    _ client: InferenceNode, _ number: Int, _ request: InferenceRequest,
    _ constraints: InferenceConstraints, _ served: @escaping (SimulatedHost.Answer) -> Void,
    _ event: @escaping (Event) -> Void
  ) {
    self.served = served
    self.client = client
    self.number = number
    self.request = request
    self.constraints = constraints
    self.event = event
    run = InferenceRun(request: request, constraints: constraints)
  }

  private var process: SimulatedProcess { client.process }
  private var now: Instant { process.now }

  func begin() { if !isOver { perform(run.begin(client, now: now)) } }

  /// Cancels the request, because its reader has left.
  func leave(_ failure: Failure = Failure(.cancelled, "the client has left")) {
    guard !isOver else { return }
    let directives = run.abandon(failure, now: now)
    perform(directives)
    end(failure)
  }

  /// Breaks the connections to hosts, because the process died.
  func die() {
    isOver = true
    for id in upstream.keys.sorted(by: { $0.number < $1.number }) { drop(id) }
  }

  // MARK: - Directives

  private func perform(_ directives: [InferenceRun.Directive]) {
    for directive in directives where !isOver { perform(directive) }
    arm()
  }

  private func perform(_ directive: InferenceRun.Directive) {
    switch directive {
    case .start(let id, let candidate, let resume): start(id, candidate, resume)
    case .cancel(let id), .release(let id): drop(id)
    case .observe(let host, let observation, let started):
      client.observe(observation, of: host, for: constraints.client, started: started)
    case .open(let opening): event(.open(opening))
    case .deliver(let part): event(.part(part))
    case .complete: end(nil)
    case .fail(let failure): end(failure)
    }
  }

  private func end(_ failure: Failure?) {
    guard !isOver else { return }
    isOver = true
    for id in upstream.keys.sorted(by: { $0.number < $1.number }) { drop(id) }
    client.ended(self)
    event(.end(failure))
  }

  private func drop(_ id: AttemptID) {
    readers[id] = nil
    guard let dropped = upstream.removeValue(forKey: id) else { return }
    dropped.host.cancel(dropped.answer)
  }

  private func arm() {
    guard !isOver, let wake = run.nextWake, armed.map({ wake < $0 }) ?? true else { return }
    armed = wake
    process.after(now.duration(to: wake)) { [self] in
      guard armed == wake else { return }
      armed = nil
      guard !isOver else { return }
      perform(run.tick(cluster: client, now: now))
    }
  }

  // MARK: - Hosts

  private func start(_ id: AttemptID, _ candidate: Candidate, _ resume: ResumePoint?) {
    let prepared: UpstreamRequest
    do throws(AdapterRefusal) {
      prepared = try UpstreamRequest(request, to: candidate, from: resume)
    } catch {
      return later { [self] in failed(error.failure, id) }
    }
    guard let host = process.cluster.host(candidate.host.id) else {
      return later { [self] in failed(AttemptFailure(.connect, "there is no such host"), id) }
    }
    process.note(
      "\(request.trace.trace.low) attempt \(id) at \(host.id)\(resume == nil ? "" : ", resumes")")
    let answer = host.ask(
      prepared,
      SimulatedHost.Events(
        head: { [self] status in head(status, prepared.reading, id) },
        bytes: { [self] bytes in received(bytes, id) },
        end: { [self] in ended(id) },
        failed: { [self] failure in broken(failure, id) }))
    guard let answer else { return }
    answers.append(answer)
    served(answer)
    upstream[id] = Upstream(host: host, answer: answer)
  }

  private func later(_ action: @escaping () -> Void) { process.after(.zero, action) }

  private func head(_ status: Int, _ reading: UpstreamReading, _ id: AttemptID) {
    guard isCurrent(id) else { return }
    readers[id] = UpstreamReader(reading, status: status)
    run.received(status: status, from: id)
  }

  private func received(_ bytes: [UInt8], _ id: AttemptID) {
    guard isCurrent(id), var reader = readers.removeValue(forKey: id) else { return }
    if bytes.count > 60, process.cluster.bugStrikes(.lostPiece) {
      readers[id] = reader
      return
    }
    let signs = reader.signs
    let items = reader.append(bytes)
    if reader.signs > signs { run.receivedSign(from: id, now: now) }
    readers[id] = reader
    take(items, id)
  }

  private func ended(_ id: AttemptID) {
    guard isCurrent(id), var reader = readers.removeValue(forKey: id) else { return }
    take(reader.end(), id)
  }

  private func broken(_ failure: AttemptFailure, _ id: AttemptID) {
    guard isCurrent(id) else { return }
    if var reader = readers.removeValue(forKey: id) { take(reader.cutShort(), id) }
    failed(failure, id)
  }

  private func failed(_ failure: AttemptFailure, _ id: AttemptID) {
    guard process.isAlive, !isOver else { return }
    perform(run.failed(failure, id, cluster: client, now: now))
  }

  private func take(_ items: [UpstreamItem], _ id: AttemptID) {
    for item in items where !isOver {
      perform(run.received(item, from: id, cluster: client, now: now))
    }
  }

  private func isCurrent(_ id: AttemptID) -> Bool {
    process.isAlive && !isOver && upstream[id] != nil
  }
}
