import BusCore
import ClusterModel
import GatewayCore
import InferenceCore
import RegistryCore

/// The invariants of a run.
extension SimulatedCluster {
  /// Maximum virtual time of a request.
  ///
  /// A direct request may take its deadline. A planned request may take its deadline, two calls of
  /// a planner, the wait for a restarted planner and the wait for a restarted dispatcher.
  func bound(of route: SimulatedRequest.Route) -> Duration {
    route.isDirect
      ? SimulatedRequest.total + .seconds(1) : .seconds(300) + .seconds(5 + 10 + 5 + 10 + 1)
  }

  /// Codes that an honest request may fail with.
  private static let properCodes: Set<Failure.Code> = [
    .overloaded, .hostsBusy, .rateLimited, .upstreamFailed, .noEligibleHost, .deadlineExceeded,
    .peerLost,
    .noPeer, .streamGap, .shuttingDown, .outboxFull, .modelNotFound,
  ]

  func ended(_ request: SimulatedRequest, _ outcome: SimulatedRequest.Outcome) {
    switch outcome {
    case .answered:
      log.note("client", "\(request.name) answered: \(request.text.utf8.count) bytes")
      checkText(of: request)
    case .failed(let failure):
      log.note("client", "\(request.name) failed: \(failure)")
      if !Self.properCodes.contains(failure.code) || failure.message.isEmpty {
        violation("\(request.name) failed improperly: \(failure)")
      }
      if mustBeAnswered(request) { violation("\(request.name) failed: \(failure)") }
    case .disconnected: log.note("client", "\(request.name) lost its gateway")
    case .left: log.note("client", "\(request.name): the client left")
    }
  }

  /// Whether the request must be answered, because no fault of the run excuses a failure.
  private func mustBeAnswered(_ request: SimulatedRequest) -> Bool {
    if request.isLast { return true }
    switch scenario.kind {
    case .calm, .badHosts: return true
    // A direct answer needs only a gateway and a host.
    case .badServices: return request.route.isDirect || !isExcused(request)
    case .storm: return false
    }
  }

  /// Whether the run's faults excuse a failure of the plan.
  ///
  /// A plan survives one death that other processes notice. More deaths may exceed its retries.
  private func isExcused(_ request: SimulatedRequest) -> Bool {
    let earlier = request.begun.advanced(by: .seconds(-8))
    return deaths.count { $0.at >= earlier && $0.service != .gateway } > 1
      || scenario.lossPerTenThousand > 0 || scenario.partitions > 0
      || scenario.silentDeathPerMille > 0
  }

  private func checkText(of request: SimulatedRequest) {
    if request.route.isDirect {
      let expected = ModelPrompt.answer(to: request.question)
      if request.text != expected {
        violation("\(request.name) got \"\(request.text)\" for \"\(expected)\"")
      }
    } else if request.text.isEmpty {
      violation("\(request.name) got an empty answer")
    }
  }

  /// Checks the usage of one inference.
  /// - Parameter given: bytes of the text that the inference resumed; its tokens count as usage
  ///   too.
  func check(
    _ summary: InferenceSummary, _ answers: [SimulatedHost.Answer], given: Int = 0, of name: String
  ) {
    let usage = summary.usage
    let tokens = summary.attempts.map(\.tokens)
    if usage.promptTokens < 0 || usage.completionTokens < 0 || tokens.contains(where: { $0 < 0 }) {
      violation("\(name) has a negative usage: \(usage), attempts \(tokens)")
    }
    // If Tutti estimated the tokens, it counted one per four bytes.
    let sent = answers.reduce(given / 4 + 1) {
      $0 + (usage.estimated ? $1.sentBytes / 4 + 1 : $1.sent)
    }
    if usage.completionTokens > sent {
      violation("\(name) counts \(usage.completionTokens) tokens; the hosts sent \(sent)")
    }
    if summary.attempts.count != answers.count {
      violation("\(name) records \(summary.attempts.count) attempts of \(answers.count)")
    }
    if given == 0, answers.count == 1, let reported = answers[0].reported, reported != usage {
      violation("\(name) has usage \(usage); the host reported \(reported)")
    }
  }

  /// Checks a finished plan.
  func check(_ trace: PlanTrace, of request: SimulatedRequest, dispatches: Int) {
    guard let ending = trace.ending else { return }
    let sum = trace.tasks.reduce(Usage.zero) { $0 + $1.usage }
    if ending.usage.promptTokens < 0 || ending.usage.completionTokens < 0 {
      violation("\(request.name) has a negative usage: \(ending.usage)")
    }
    // The last dispatcher does not know the tokens of tasks that failed at an earlier one.
    let isKnown =
      dispatches == 1
      ? ending.usage == sum
      : ending.usage.promptTokens <= sum.promptTokens
        && ending.usage.completionTokens <= sum.completionTokens
    if !isKnown {
      violation("\(request.name) has usage \(ending.usage); its tasks sum to \(sum)")
    }
    // The dispatcher estimates the tokens of attempts that ended without a report: one per four
    // bytes.
    let served = ledger[trace.plan.id, default: PlanLedger()]
    let sent = served.answers.reduce(0) { $0 + max($1.sent, $1.sentBytes / 4 + 1) }
    if ending.usage.completionTokens > sent {
      violation(
        "\(request.name) counts \(ending.usage.completionTokens) tokens; hosts sent \(sent)")
    }
    for line in trace.tasks { check(line, of: request) }
    if scenario.kind == .calm, ending.usage != served.usage {
      violation("\(request.name) has usage \(ending.usage), not \(served.usage), without a fault")
    }
    guard let sink = trace.finished[trace.plan.sink] else {
      return violation("\(request.name) finished without its sink")
    }
    if request.text != sink.output {
      violation("\(request.name) got \"\(request.text)\"; the sink wrote \"\(sink.output)\"")
    }
    let status = trace.task(trace.plan.sink)?.status
    if status == .done, !sink.output.hasPrefix("{"),
      let mistake = ModelText.mistake(in: sink.output)
    {
      violation("\(request.name): \(mistake) in \"\(sink.output)\"")
    }
  }

  /// Checks that the inferences of a task, whose hosts are paid, account for its tokens.
  private func check(_ line: PlanTrace.TaskLine, of request: SimulatedRequest) {
    let sum = line.inferences.map(\.usage).reduce(.zero, +)
    // The sums may differ outside calm runs: an agent that resumes a text counts its tokens once
    // more, and a lost agent reports no inferences.
    if sum.promptTokens > line.usage.promptTokens || scenario.kind == .calm && sum != line.usage {
      violation(
        "\(request.name): task \(line.id) has usage \(line.usage); its inferences have \(sum)")
    }
    for attempt in line.inferences.flatMap(\.attempts) where host(attempt.host) == nil {
      violation("\(request.name): task \(line.id) pays \(attempt.host), which is no host")
    }
  }

  // MARK: - Convergence

  /// Differences from the state without faults: all processes live and are in the peer table, all
  /// tables are equal, and all hosts are ready.
  var divergences: [String] {
    guard let registry = processes.first(where: { $0.service is RegistryNode }),
      let node = registry.service as? RegistryNode
    else { return ["no registry lives"] }
    let living = Set(processes.map(\.id))
    let listed = Set(node.peers.peers.map(\.id))
    var found: [String] = []
    if processes.count != scenario.processes.count {
      found.append("\(processes.count) of \(scenario.processes.count) processes live")
    }
    if listed != living {
      found.append("the registry lists \(listed.sorted()); alive are \(living.sorted())")
    }
    for process in processes { found += divergences(of: process, from: node) }
    return found
  }

  private func divergences(of process: SimulatedProcess, from node: RegistryNode) -> [String] {
    var found: [String] = []
    let peers = process.machine.directory.table
    if peers != node.peers {
      found.append("\(process.id) has peer table \(peers.revision), not \(node.peers.revision)")
    }
    let silent = peers.peers.filter { !process.machine.directory.isLive($0.id) }
    if !silent.isEmpty { found.append("\(process.id) skips \(silent.map(\.id))") }
    let hosts = process.hosts.table
    let table = node.hosts.table
    if (hosts.epoch, hosts.revision) != (table.epoch, table.revision) {
      found.append("\(process.id) has host table \(hosts.revision), not \(table.revision)")
    }
    for host in hosts.hosts where host.state != .ready {
      found.append("\(process.id) finds \(host.id) \(host.state.rawValue): \(host.reason)")
    }
    guard process.machine.own.service != .registry else { return found }
    if process.hosts.load(now: time.now).map({ $0.age < LoadRhythm.silence }) != true {
      found.append("\(process.id) has no current load table")
    }
    return found
  }

  /// Descriptions of work that is left. They are a violation if no request is under way.
  var leftovers: [String] {
    var found = requests.filter { $0.outcome == nil }.map { "\($0.name) has not ended" }
    for process in processes {
      found += process.leftovers.map { "\(process.id) has \($0)" }
      for host in process.hosts.load(now: time.now)?.table.hosts ?? [] where host.inFlight != 0 {
        found.append("\(process.id) finds \(host.inFlight) requests at \(host.host)")
      }
    }
    for host in hosts where host.runningCount > 0 {
      found.append("\(host.id) answers \(host.runningCount) requests")
    }
    return found
  }
}
