import ClusterModel
import Limits

/// Events of agents, and retries.
extension PlanRun {
  /// Index of the task whose attempt is under way. `nil` means that the attempt is over.
  func running(_ attempt: Attempt) -> Int? {
    guard let index = board.index(of: attempt.task), attempts[index]?.number == attempt.number,
      case .running = board.phase(index)
    else { return nil }
    return index
  }

  /// Records the agent of an attempt, which does not change until the attempt ends.
  mutating func assign(_ attempt: Attempt, to agent: PeerID) {
    guard let index = running(attempt), board.assign(index, to: agent) else { return }
    attempts[index]?.assign(to: agent)
    directives.append(
      .emit(
        .started(
          task: attempt.task, role: board.task(index).role, agent: agent.name,
          attempt: attempt.number)))
  }

  mutating func recordFirstToken(_ attempt: Attempt, _ began: TaskBegan) {
    guard let index = running(attempt) else { return }
    board.setHost(began.host, of: index)
    attempts[index]?.begin(with: began.model)
    directives.append(.emit(.firstToken(task: attempt.task, began)))
  }

  /// Records a delta of a task's output. Only deltas of the sink go to the client.
  /// Output of other tasks is kept only if it may substitute for a failed task's output.
  mutating func recordDelta(_ attempt: Attempt, _ delta: TaskDelta) {
    guard let index = running(attempt) else { return }
    attempts[index]?.countWritten(delta.text.utf8.count)
    if board.isStreaming(index) {
      answer.append(delta, room: room(after: answer.text))
      directives.append(.emit(.delta(delta)))
    } else if board.task(index).onFailure == .degrade {
      let room = room(after: attempts[index]?.partial.text ?? "")
      attempts[index]?.keep(delta, room: room)
    }
  }

  /// Bytes that may be added to the partial output of a task. The output may have at most
  /// `keptBytes`. An output longer than `deltaBytes` is also limited by the room that the plan has
  /// left for outputs.
  private func room(after text: String) -> Int {
    let bytes = text.utf8.count
    let room = max(0, limits.keptBytes - bytes)
    return bytes > limits.deltaBytes ? min(room, outputRoom) : room
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
    let task = board.task(index)
    let isStreaming = board.isStreaming(index)
    // The prompt is unknown in two cases. With a contract or a required tool call, the model may
    // have had two prompts. With documents, the prompt may have had only parts of them.
    let mayRepair = task.contract != .text || requiresCall && isStreaming
    var report = budget.charge(
      report, to: index, hasKnownPrompt: !mayRepair && task.documents.isEmpty,
      resumes: isStreaming && answer.resumesText)
    if requiresCall, isStreaming, !report.contractMet {
      let answers = counted(report.inferences.count, "answer")
      return abandon(index, Self.lacksCall("\(answers) had none that fits"), now: now)
    }
    if isStreaming { report.output = completeAnswer(report.output) }
    // An empty draft is useless, and an answer made from drafts must not be empty. An answer made
    // from the conversation alone may be empty, because a stop sequence can come first.
    if report.output.allSatisfy(\.isWhitespace), !hasStructure(index),
      !isStreaming || !task.inputs.isEmpty
    {
      discardText(of: index)
      board.setShortcoming("its model wrote nothing", of: index)
      if task.onFailure != .fail {
        return abandon(
          index, Failure(.upstreamFailed, board.shortcoming(of: index)), now: now)
      }
    }
    if !report.contractMet {
      guard task.expansion != nil else {
        if !isStreaming { attempts[index]?.replacePartial(with: report.output) }
        return abandon(index, Failure(.upstreamFailed, Self.brokenContract), now: now)
      }
      board.setShortcoming(Self.brokenContract, of: index)
    }
    complete(index, report, now: now)
  }

  /// Whether the output that an agent wrote so far has parts other than text.
  private func hasStructure(_ index: Int) -> Bool {
    board.isStreaming(index)
      ? answer.hasStructure : attempts[index]?.partial.hasStructure ?? false
  }

  /// Drops the text that an agent wrote so far.
  private mutating func discardText(of index: Int) {
    if board.isStreaming(index) { answer.discard() } else { attempts[index]?.discardPartial() }
  }

  /// Returns the complete answer, and emits the part that the agent did not stream.
  private mutating func completeAnswer(_ output: String) -> String {
    let (answer, rest) = self.answer.complete(with: output, pieceBytes: limits.deltaBytes)
    for piece in rest { directives.append(.emit(.delta(TaskDelta(text: piece)))) }
    return answer
  }

  // MARK: - Retries

  /// Schedules another search for an agent, or abandons the task after `agentWait`.
  mutating func searchAgain(_ index: Int, now: Instant) {
    guard let next = attempts[index]?.nextSearch(now: now, limits: limits) else {
      let role = board.task(index).role.rawValue
      return abandon(
        index,
        Failure(
          .noPeer,
          "no agent for the role \(role) appeared within "
            + "\(limits.agentWait.wholeMilliseconds) ms; is tutti-agent-\(role) running?"),
        now: now)
    }
    pause(index, until: next)
  }

  private mutating func pause(_ index: Int, until instant: Instant) {
    board.pause(index)
    directives.append(.arm(.retry(board.task(index).id), at: instant))
  }

  /// Retries the task after its agent was lost, refused or failed, or abandons it.
  mutating func attemptFailed(_ index: Int, _ failure: Failure, now: Instant) {
    guard let loss = AgentLoss(failure.code) else { return abandon(index, failure, now: now) }
    guard !(board.isStreaming(index) && answer.hasStructure) else {
      return abandon(
        index,
        Failure(
          .upstreamFailed,
          "the agent that wrote the answer was lost after \(answer.text.utf8.count) "
            + "bytes of text were sent; the answer contains more than text and cannot be resumed "
            + "(\(failure.message)); ask again"), now: now)
    }
    guard
      let delay = attempts[index]?.retry(
        after: loss, of: board.phase(index).agent, retryAfter: failure.retryAfter, limits: limits)
    else {
      guard loss != .hostsBusy else { return abandon(index, failure, now: now) }
      return abandon(
        index,
        Failure(
          failure.code,
          "\(limits.attempts) agents were tried; the last one failed: \(failure.message)",
          retryAfter: failure.retryAfter, param: failure.param), now: now)
    }
    chargeUnreported(index)
    pause(index, until: now.advanced(by: delay))
  }

  // MARK: - Cost

  /// Charges the budget for an attempt that ended without a usage report.
  /// Nothing is charged if no host had sent a first token.
  mutating func chargeUnreported(_ index: Int) {
    guard case .running(_, let host?) = board.phase(index) else { return budget.release(index) }
    let attempt = attempts[index] ?? TaskAttempts()
    budget.chargeUnreported(
      index, host: host, model: attempt.model,
      prompt: demand(of: index).prompt + inputTokens(of: index),
      writtenBytes: attempt.writtenBytes)
  }
}

/// Reasons to retry a task.
/// Any other failure is the fault of the task, or of hosts, which `infer()` has already retried.
enum AgentLoss: Sendable {
  case lost, overloaded
  /// Every host that the agent asked is busy. The same agent may try again later.
  case hostsBusy

  init?(_ code: Failure.Code) {
    switch code {
    case _ where code.isLostPeer: self = .lost
    case .overloaded, .outboxFull: self = .overloaded
    // Only hosts limit the rate of an agent's requests, so a rate limit means busy hosts.
    case .hostsBusy, .rateLimited: self = .hostsBusy
    default: return nil
    }
  }
}
