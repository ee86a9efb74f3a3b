public import ClusterModel
internal import Limits
public import Money

/// Refers to a host of an `OpenBill`.
public struct BilledHost: Hashable, Sendable {
  let index: Int
}

/// Refers to the entry of an answer that has ended, until the entry is acknowledged.
public struct FinishedBill: Hashable, Sendable {
  let slot: Int
  let settlement: UInt64
}

/// The journal's slot of one running answer.
///
/// It has one owner, so recording tokens needs no lock and no allocation, but only some atomic
/// stores. All token counts are totals so far. The owner calls `finish()` or `cancel()` at the end of the
/// answer. Otherwise the slot stays in use, and the next process finds the answer in the journal as
/// running.
public struct OpenBill: ~Copyable, Sendable {
  private let journal: BillingJournal
  private let slot: Int
  private var progress: SlotProgress
  private var hosts: [SlotHost] = []

  init(journal: BillingJournal, slot: Int, progress: SlotProgress) {
    self.journal = journal
    self.slot = slot
    self.progress = progress
  }

  /// Records a host before its first token.
  /// - Parameters:
  ///   - model: the host's own name of the model.
  ///   - role: the host's role in the answer. It replaces an earlier role of the same host.
  /// - Returns: `nil` if the list of hosts is full or the host's name is too long. The tokens of
  ///   such a host are lost if the process dies.
  public mutating func addHost(
    _ host: HostID, _ model: ModelID, _ role: BilledAttempt.Role
  ) -> BilledHost? {
    guard let index = add(host, model) else { return nil }
    progress.setRole(role, ofHost: index)
    journal.publish(&progress, slot: slot)
    return BilledHost(index: index)
  }

  /// Returns the index of a host's row, and adds the row if necessary. Does not write the progress.
  private mutating func add(_ host: HostID, _ model: ModelID?) -> Int? {
    // If both names together are too long, the model's name is left out.
    for row in [SlotHost(host: host, model: model), SlotHost(host: host, model: nil)] {
      if let index = hosts.firstIndex(of: row) { return index }
      guard let words = SlotTexts.words(of: row, request: progress.request) else { continue }
      guard hosts.count < Limits.journalHosts.value else { return nil }
      journal.store(words, host: hosts.count, slot: slot)
      hosts.append(row)
      progress.addHost()
      return hosts.count - 1
    }
    return nil
  }

  /// Changes the role of a host, for example because it broke off.
  public mutating func setRole(_ role: BilledAttempt.Role, of host: BilledHost) {
    guard host.index < hosts.count else { return }
    progress.setRole(role, ofHost: host.index)
    journal.publish(&progress, slot: slot)
  }

  public mutating func record(promptTokens: Int, cachedTokens: Int) {
    progress.setPrompt(tokens: promptTokens, cached: cachedTokens)
    journal.publish(&progress, slot: slot)
  }

  /// Records a host's tokens that have not reached the client, for example in a race.
  public mutating func record(made: Int, contributed: Int, by host: BilledHost) {
    setHost(host, made: made, contributed: contributed)
    journal.publish(&progress, slot: slot)
  }

  /// Records tokens that were written to the client's socket, and the tokens of the host that made
  /// them.
  /// - Parameter host: `nil` means that the host is not in the list.
  public mutating func record(
    completionTokens: Int, made: Int, contributed: Int, by host: BilledHost?
  ) {
    progress.setCompletion(tokens: completionTokens)
    if let host { setHost(host, made: made, contributed: contributed) }
    journal.publish(&progress, slot: slot)
  }

  /// Ends the answer. The entry stays in the journal until it is acknowledged.
  /// - Parameters:
  ///   - settlement: number of the settlement, which grows with every answer of the process.
  ///   - bill: bill that replaces the tokens recorded so far, in the same write. `nil` means that
  ///     the recorded tokens stay.
  public consuming func finish(settlement: UInt64, bill: UnconfirmedBill? = nil) -> FinishedBill {
    if let bill { set(bill) }
    journal.finish(progress, settlement: settlement, slot: slot)
    return FinishedBill(slot: slot, settlement: settlement)
  }

  /// Removes the request without a bill. It costs nothing, because no host was asked.
  public consuming func cancel() {
    journal.cancel(progress, slot: slot)
  }

  private mutating func set(_ bill: UnconfirmedBill) {
    progress.setPrompt(tokens: bill.promptTokens, cached: bill.cachedTokens)
    progress.setCompletion(tokens: bill.completionTokens)
    progress.setBill(bill.billed)
    for index in hosts.indices {
      // The role becomes `failed`, so that a host that is not in the bill is not paid for the
      // prompt.
      progress.setRole(.failed, ofHost: index)
      progress.setHost(index, made: 0, contributed: 0)
    }
    for host in bill.hosts {
      guard let index = add(host.host, host.model) else { continue }
      progress.setRole(host.role, ofHost: index)
      progress.setHost(index, made: host.made, contributed: host.contributed)
    }
  }

  private mutating func setHost(_ host: BilledHost, made: Int, contributed: Int) {
    // A `BilledHost` of another bill may have a larger index.
    guard host.index < hosts.count else { return }
    progress.setHost(host.index, made: made, contributed: contributed)
  }
}
