import ClusterModel
import Text

extension PlanRun {
  // MARK: - Starting

  /// Gives up what nobody needs any more, starts what is ready, ends the plan with its sink.
  mutating func advance(now: Instant) {
    guard state == .running else { return }
    if case .done(let report) = tasks[sink].phase { return finish(report) }
    dropUnneeded()
    for index in tasks.indices where isReady(index) {
      var missing: [String] = []
      for edge in task(index).inputs where output(of: edge) == nil { missing.append(edge.name) }
      tasks[index].missing = missing
      tasks[index].attempt = 1
      if let own = task(index).deadline, now.advanced(by: own) < planDeadline {
        tasks[index].deadline = now.advanced(by: own)
        directives.append(.arm(.deadline(task(index).id), at: now.advanced(by: own)))
      }
      launch(index, now: now)
    }
  }

  private func isReady(_ index: Int) -> Bool {
    guard case .waiting = tasks[index].phase else { return false }
    return task(index).inputs.allSatisfy { edge in
      indices[edge.from].map { tasks[$0].phase.isSettled } ?? false
    }
  }

  private func output(of edge: Edge) -> String? {
    guard let source = indices[edge.from], case .done(let report) = tasks[source].phase
    else { return nil }
    return report.output
  }

  /// Starts the task's current attempt.
  mutating func launch(_ index: Int, now: Instant) {
    let task = task(index)
    var inputs: [TaskOrder.NamedInput] = []
    for edge in task.inputs {
      guard let text = output(of: edge) else { continue }
      inputs.append(
        .init(
          name: edge.name, text: Compression.compressed(text, toTokens: limits.inputTokens)))
    }
    var hosts: Set<HostID> = []
    for state in tasks {
      if case .running(_, let host?) = state.phase { hosts.insert(host) }
    }
    tasks[index].phase = .running(agent: nil, host: nil)
    directives.append(
      .start(
        TaskStart(
          attempt: Attempt(task.id, tasks[index].attempt), role: task.role,
          order: TaskOrder(
            plan: order.plan.id, task: task, conversation: order.conversation, inputs: inputs,
            isSink: index == sink, dataPolicy: order.dataPolicy, avoidHosts: hosts.sorted(),
            terms: order.terms),
          avoiding: tasks[index].avoiding,
          remaining: now.duration(to: tasks[index].deadline ?? planDeadline))))
  }

  /// Nobody can take the task now.
  mutating func keepSeeking(_ index: Int, now: Instant) {
    let since = tasks[index].seekingSince ?? now
    tasks[index].seekingSince = since
    guard since.duration(to: now) < limits.agentWait else {
      let role = task(index).role.rawValue
      return settleFailed(
        index,
        Failure(
          .noPeer,
          "no agent for the role \(role) appeared within "
            + "\(limits.agentWait.wholeMilliseconds) ms; is tutti-agent-\(role) running?"),
        now: now)
    }
    pause(index, until: now.advanced(by: limits.seekInterval))
  }

  private mutating func pause(_ index: Int, until instant: Instant) {
    tasks[index].phase = .pausing
    directives.append(.arm(.retry(task(index).id), at: instant))
  }

  // MARK: - Settling

  mutating func settle(_ index: Int, report: TaskReport) {
    tasks[index].phase = .done(report)
    disarmDeadline(index)
    let missing = tasks[index].missing
    emitEnd(
      index, missing.isEmpty ? .done : .degraded,
      reason: missing.isEmpty ? "" : "it ran without \(missing.joined(separator: ", "))",
      report: report)
  }

  /// The attempt's agent was lost, refused or failed.
  mutating func attemptFailed(_ index: Int, _ failure: Failure, now: Instant) {
    guard let loss = AgentLoss(failure.code) else {
      return settleFailed(index, failure, now: now)
    }
    guard !tasks[index].sentDelta else {
      return settleFailed(
        index,
        Failure(
          .upstreamFailed,
          "the agent that was writing the answer was lost after \(tasks[index].bytesOut) bytes of "
            + "it had gone out (\(failure.message)); ask again"),
        now: now)
    }
    guard tasks[index].attempt < limits.attempts else {
      return settleFailed(
        index,
        Failure(
          failure.code,
          "\(limits.attempts) agents were tried, the last one failed: \(failure.message)",
          retryAfter: failure.retryAfter),
        now: now)
    }
    if case .running(let agent?, _) = tasks[index].phase { tasks[index].avoiding.append(agent) }
    let tries = tasks[index].attempt
    tasks[index].attempt += 1
    let delay =
      switch loss {
      case .lost: limits.lostDelay * tries
      case .overloaded:
        max(.zero, min(limits.longestDelay, failure.retryAfter ?? limits.overloadDelay * tries))
      }
    pause(index, until: now.advanced(by: delay))
  }

  /// The task has failed for good; it no longer runs.
  mutating func settleFailed(_ index: Int, _ failure: Failure, now: Instant) {
    abandon(index, failure)
    advance(now: now)
  }

  /// Applies the task's failure rule, then that of everyone who cannot run without it. The depth of
  /// a plan bounds the recursion.
  private mutating func abandon(_ index: Int, _ failure: Failure) {
    let task = task(index)
    let reason = failure.message.cut(toBytes: limits.reasonBytes)
    disarm(index)
    tasks[index].phase = .skipped(failure)
    emitEnd(index, task.onFailure == .fail ? .failed : .skipped, reason: reason)
    switch task.onFailure {
    case .fail:
      fail(
        Failure(
          failure.code, "Task \"\(task.id)\" (\(task.role.rawValue)) failed: \(reason)",
          retryAfter: failure.retryAfter))
    case .skip, .degrade:
      for reader in readers[index] where state == .running {
        guard !tasks[reader].phase.isSettled else { continue }
        let inputs = self.task(reader).inputs
        let needed = self.task(reader).quorum ?? inputs.count
        let left = inputs.count { !isSkipped($0.from) }
        guard left < needed else { continue }
        abandon(
          reader,
          Failure(
            failure.code,
            "only \(left) of its \(inputs.count) inputs can still arrive and it needs \(needed); "
              + "the last one to fail, \"\(task.id)\", said: \(reason)",
            retryAfter: failure.retryAfter))
      }
    }
  }

  private func isSkipped(_ id: TaskID) -> Bool {
    guard let index = indices[id], case .skipped = tasks[index].phase else { return false }
    return true
  }

  /// Stops tasks whose output can no longer reach the sink.
  private mutating func dropUnneeded() {
    var needed = [Bool](repeating: false, count: tasks.count)
    needed[sink] = true
    var open = [sink]
    while let index = open.popLast() {
      for edge in task(index).inputs {
        guard let source = indices[edge.from], !needed[source], !tasks[source].phase.isSettled
        else { continue }
        needed[source] = true
        open.append(source)
      }
    }
    for index in tasks.indices where !needed[index] && !tasks[index].phase.isSettled {
      stop(index)
      disarm(index)
      let reason = "nothing that still runs needs its output"
      tasks[index].phase = .skipped(Failure(.cancelled, reason))
      emitEnd(index, .skipped, reason: reason)
    }
  }

  private mutating func emitEnd(
    _ index: Int, _ status: TaskStatus, reason: String, report: TaskReport? = nil
  ) {
    directives.append(
      .emit(
        .ended(
          TaskEnded(
            task: task(index).id, role: task(index).role, agent: tasks[index].agent,
            status: status, reason: reason, report: report))))
  }

  // MARK: - Ending

  private mutating func finish(_ report: TaskReport) {
    stopEverything()
    var usage = Usage.zero
    for state in tasks {
      if case .done(let report) = state.phase { usage = usage + report.usage }
    }
    directives.append(
      .finish(
        PlanFinished(
          finishReason: report.finishReason, usage: usage, sinkUsage: report.usage)))
  }

  mutating func fail(_ failure: Failure) {
    stopEverything()
    directives.append(.fail(failure))
  }

  private mutating func stopEverything() {
    for index in tasks.indices where !tasks[index].phase.isSettled {
      stop(index)
      disarm(index)
    }
    if state == .running { directives.append(.disarm(.plan)) }
    state = .over
  }

  /// Takes the task from whoever has it.
  mutating func stop(_ index: Int) {
    if case .running = tasks[index].phase {
      directives.append(.cancel(Attempt(task(index).id, tasks[index].attempt)))
    }
  }

  private mutating func disarm(_ index: Int) {
    if case .pausing = tasks[index].phase {
      directives.append(.disarm(.retry(task(index).id)))
    }
    disarmDeadline(index)
  }

  private mutating func disarmDeadline(_ index: Int) {
    guard tasks[index].deadline != nil else { return }
    tasks[index].deadline = nil
    directives.append(.disarm(.deadline(task(index).id)))
  }
}

/// Why another agent may do better. Everything else is the task's own failure, or the hosts', which
/// `infer()` has already been through.
enum AgentLoss: Sendable {
  case lost, overloaded

  init?(_ code: Failure.Code) {
    switch code {
    case .peerLost, .noPeer, .streamGap, .shuttingDown: self = .lost
    case .overloaded, .outboxFull: self = .overloaded
    default: return nil
    }
  }
}
