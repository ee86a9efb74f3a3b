import ClusterModel

/// The attempts of one run that have ended, in the order in which they ended.
///
/// Decides from the ended attempts how many more attempts the run may make, and at which hosts. The
/// ledger cannot access running attempts or the answer.
struct AttemptLedger: Sendable {
  /// Whether a host that was asked before may be asked once more.
  enum Repetition: Hashable, Sendable {
    case allowed
    case refused
    /// The host works, but its text did not join the answer. The state of the answer decides
    /// whether the host is asked again. `isFirst` means that this happened once so far.
    case afterBadJoint(isFirst: Bool)
  }

  private(set) var records: [AttemptRecord] = []

  mutating func append(_ record: AttemptRecord) { records.append(record) }

  // MARK: - Attempts

  /// Failed attempts. If a host refused an addition by Tutti and was asked again without it, the
  /// refused attempt does not count.
  var failed: [AttemptRecord] {
    records.filter { $0.failure != nil && $0.failure?.kind != .formRefused }
  }

  /// Attempts whose host rejected the request.
  var rejections: [AttemptRecord] { records.filter { $0.failure?.kind == .rejected } }

  var endsWithRejection: Bool { records.last?.failure?.kind == .rejected }

  var hasResumption: Bool { records.contains { $0.role == .resumption } }

  var hasMissedFirstToken: Bool {
    records.contains { $0.failure?.kind == .firstTokenDeadline }
  }

  /// Whether too many attempts have failed for the run to make another one.
  /// - Parameter limit: maximum failed attempts. Attempts with an unclear joint have a limit of
  ///   their own, of the same size, because their hosts work.
  func isExhausted(limit: Int) -> Bool {
    let failed = failed
    let unclear = failed.count { $0.failure?.isUnclear == true }
    return max(unclear, failed.count - unclear) >= limit
  }

  /// Completion tokens of the attempts that count as part of the answer.
  var tokensInAnswer: Int { records.reduce(0) { $0 + ($1.isInAnswer ? $1.tokens : 0) } }

  // MARK: - Hosts

  /// Hosts with an attempt that has ended, whatever its outcome.
  var hosts: Set<HostID> { Set(records.map(\.host)) }

  /// Hosts with a failed attempt. Includes hosts that only refused an addition.
  var hostsWithFailure: Set<HostID> { Set(records.filter { $0.failure != nil }.map(\.host)) }

  /// Hosts that failed and cannot replace a late host yet.
  ///
  /// Hosts recover from overload, from a failed connection, and from failures that may have been
  /// chance. Exceptions are a bad joint and the statuses 500 and 501. Without recovery, a request
  /// could wait for its late host until the deadline of the whole answer, although another host
  /// works again.
  /// - Parameters:
  ///   - elapsed: time since the run began.
  ///   - recovery: time after a failure until its host counts as recovered. A longer wait that the
  ///     host asked for counts instead.
  func hostsNotRecovered(at elapsed: Duration, recovery: Duration) -> Set<HostID> {
    hostsWithFailure.filter { host in
      let own = records.filter { $0.host == host }
      guard let last = own.last(where: { $0.failure != nil }), let failure = last.failure,
        failure.mayPass, own.allSatisfy({ $0.failure?.isServerError != true })
      else { return true }
      return elapsed < last.ended + max(recovery, failure.retryAfter ?? .zero)
    }
  }

  func hasBadJoint(_ host: HostID) -> Bool {
    records.contains { $0.host == host && $0.failure?.kind == .badJoint }
  }

  /// Failure of the host's last attempt. `nil` means that this attempt did not fail, or that the
  /// host was not asked.
  func lastFailure(of host: HostID) -> AttemptFailure? {
    records.last { $0.host == host }?.failure
  }

  func repetition(of host: HostID) -> Repetition {
    let own = records.filter { $0.host == host && $0.failure?.kind != .formRefused }
    // The request itself may have caused the server errors. One repetition, at any host, is enough.
    if own.contains(where: { $0.failure?.isServerError == true }),
      records.count(where: { $0.failure?.isServerError == true }) > 1
    {
      return .refused
    }
    if own.count == 1, own[0].failure?.mayBeChance ?? true { return .allowed }
    guard own.last?.failure?.kind == .badJoint else { return .refused }
    return .afterBadJoint(isFirst: own.count { $0.failure?.kind == .badJoint } == 1)
  }

  /// Hosts whose context was too small, and candidates whose context is known to be no larger.
  func hostsNotLarger(among candidates: [Candidate]) -> [HostID] {
    let refusing = records.filter { $0.failure?.kind == .contextTooSmall }
    guard !refusing.isEmpty else { return [] }
    func context(_ host: Host, _ model: ModelID) -> Int? {
      host.models.first { $0.id == model }?.contextTokens
    }
    let largest = refusing.compactMap { record in
      candidates.first { $0.host.id == record.host }.flatMap { context($0.host, record.model) }
    }.max()
    let smaller = candidates.filter { candidate in
      guard let largest, let own = context(candidate.host, candidate.model) else { return false }
      return own <= largest
    }
    return refusing.map(\.host) + smaller.map(\.host.id)
  }

  /// Attempts whose hosts refused the request. If another host answers it, the refusals were wrong.
  var contradicted: [AttemptRecord] {
    records.filter { $0.role != .resumption && $0.failure?.isRefusal == true }
  }
}
