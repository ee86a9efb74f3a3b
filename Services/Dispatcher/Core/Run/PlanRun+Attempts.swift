import ClusterModel
import Limits

extension PlanRun {
  // MARK: - Events of an agent

  /// Records the agent of an attempt, which does not change until the attempt ends.
  mutating func assigned(_ attempt: Attempt, to agent: PeerID) {
    guard let index = running(attempt), case .running(nil, _) = tasks[index].phase else { return }
    tasks[index].agent = agent.name
    tasks[index].seekingSince = nil
    tasks[index].phase = .running(agent: agent, host: nil)
    directives.append(
      .emit(
        .started(
          task: attempt.task, role: task(index).role, agent: agent.name, attempt: attempt.number)))
  }

  mutating func began(_ attempt: Attempt, _ began: TaskBegan) {
    guard let index = running(attempt) else { return }
    if case .running(let agent, _) = tasks[index].phase {
      tasks[index].phase = .running(agent: agent, host: began.host)
    }
    directives.append(.emit(.firstToken(task: attempt.task, began)))
  }

  /// Records a delta of a task's output. Only deltas of the sink go to the client.
  /// Output of other tasks is kept only if it may substitute for a failed task's output.
  mutating func wrote(_ attempt: Attempt, _ delta: TaskDelta) {
    guard let index = running(attempt) else { return }
    tasks[index].writtenBytes += delta.text.utf8.count
    let isStreaming = isStreaming(index)
    if isStreaming || task(index).onFailure == .degrade {
      var room = max(0, limits.keptBytes - tasks[index].text.utf8.count)
      // Every task may keep up to `deltaBytes`; more counts against the plan's memory.
      if tasks[index].text.utf8.count > limits.deltaBytes { room = min(room, outputRoom) }
      tasks[index].text += delta.text.cut(toBytes: room)
      if delta.deltaJSON != nil || delta.text.utf8.count > room {
        tasks[index].hasStructure = true
      }
    }
    if isStreaming { directives.append(.emit(.delta(delta))) }
  }

  private static let brokenContract = "its output does not meet its output contract"

  mutating func attemptFinished(_ index: Int, _ report: TaskReport, now: Instant) {
    guard report.output.utf8.count <= outputRoom else {
      return abandon(
        index,
        Failure(
          .upstreamFailed,
          "with its output the plan's tasks have written \(Overdrawn(Limits.planOutputBytes))"),
        now: now)
    }
    var report = spend(report, on: index)
    if isStreaming(index) { report.output = wholeAnswer(index, report.output) }
    // An empty draft is useless, and an answer made from drafts must not be empty. An answer made
    // from the conversation alone may be empty: a stop sequence can come first.
    if report.output.allSatisfy(\.isWhitespace), !tasks[index].hasStructure,
      !isStreaming(index) || !task(index).inputs.isEmpty
    {
      tasks[index].text = ""
      tasks[index].shortcoming = "its model wrote nothing"
      if task(index).onFailure != .fail {
        return abandon(index, Failure(.upstreamFailed, tasks[index].shortcoming), now: now)
      }
    }
    if !report.contractMet, task(index).expansion != nil {
      tasks[index].shortcoming = Self.brokenContract
    }
    guard report.contractMet || task(index).expansion != nil else {
      tasks[index].text = report.output
      return abandon(
        index,
        Failure(.upstreamFailed, Self.brokenContract), now: now)
    }
    complete(index, report, now: now)
  }

  /// Returns the complete answer, and emits the part that the agent did not stream.
  /// An agent that resumed a prefix may report the whole answer or only its own part.
  private mutating func wholeAnswer(_ index: Int, _ output: String) -> String {
    let said = tasks[index].text
    // The streamed output contains more than text, so its text cannot be compared with `output`.
    if tasks[index].hasStructure { return output }
    if emitRest(of: output) { return output }
    guard tasks[index].prefixBytes > 0 else { return output }
    guard said.utf8.count == tasks[index].prefixBytes else { return said }
    emitRest(of: said + output)
    return said + output
  }

  // MARK: - Retries

  /// Schedules another search for an agent, or abandons the task after `agentWait`.
  mutating func keepSeeking(_ index: Int, now: Instant) {
    let since = tasks[index].seekingSince ?? now
    tasks[index].seekingSince = since
    guard since.duration(to: now) < limits.agentWait else {
      let role = task(index).role.rawValue
      abandon(
        index,
        Failure(
          .noPeer,
          "no agent for the role \(role) appeared within "
            + "\(limits.agentWait.wholeMilliseconds) ms; is tutti-agent-\(role) running?"),
        now: now)
      return advance(now: now)
    }
    pause(index, until: now.advanced(by: limits.seekInterval))
  }

  private mutating func pause(_ index: Int, until instant: Instant) {
    tasks[index].phase = .pausing
    directives.append(.arm(.retry(task(index).id), at: instant))
  }

  /// Retries the task after its agent was lost, refused or failed, or abandons it.
  mutating func attemptFailed(_ index: Int, _ failure: Failure, now: Instant) {
    guard let loss = AgentLoss(failure.code) else { return abandon(index, failure, now: now) }
    guard !(isStreaming(index) && tasks[index].hasStructure) else {
      return abandon(
        index,
        Failure(
          .upstreamFailed,
          "the agent that wrote the answer was lost after \(tasks[index].text.utf8.count) "
            + "bytes of text were sent; the answer contains more than text and cannot be resumed "
            + "(\(failure.message)); ask again"), now: now)
    }
    guard tasks[index].attempt < limits.attempts else {
      return abandon(
        index,
        Failure(
          failure.code,
          "\(limits.attempts) agents were tried; the last one failed: \(failure.message)",
          retryAfter: failure.retryAfter, param: failure.param), now: now)
    }
    spendUnreported(index)
    if case .running(let agent?, _) = tasks[index].phase { tasks[index].avoiding.append(agent) }
    // Only the answer is resumed. Any other task starts again from the beginning.
    if !isStreaming(index) { tasks[index].text = "" }
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
}

/// Reasons to retry with another agent.
/// Any other failure is the task's own, or its hosts', which `infer()` has already retried.
enum AgentLoss: Sendable {
  case lost, overloaded

  init?(_ code: Failure.Code) {
    switch code {
    case _ where code.isLostPeer: self = .lost
    // A host with a rate limit stays busy for a while, too.
    case .overloaded, .rateLimited, .outboxFull: self = .overloaded
    default: return nil
    }
  }
}
