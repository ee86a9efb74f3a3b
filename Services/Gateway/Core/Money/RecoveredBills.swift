public import ClusterModel
import Limits
public import Money

/// Settlements of requests that ended with an earlier process of this gateway.
///
/// The gateway repeats the settlements until the registry confirms them. Until then, it renews the
/// leases of the earlier process, because their money pays the settlements. After that, it returns
/// the rest of their money at once.
public struct RecoveredBills: Sendable {
  public enum Directive: Hashable, Sendable {
    case send(Settlement)
    case renew(LeaseRenewal)
    /// The registry has the settlement of this entry of the journal, so the entry can be removed.
    case forget(entry: String)
  }

  private struct Entry {
    let id: String
    let settlement: Settlement
  }

  private struct Process {
    /// Sorted by the number of the settlement.
    var entries: [Entry]
    var renewal: UInt64
    var oldest: UInt64
    var sent: Instant?
  }

  private var processes: [PeerID: Process] = [:]
  /// Pause between two repetitions.
  private let pause: Duration

  /// - Parameter entries: settlements, each with the id of its entry in the journal.
  public init(_ entries: [(id: String, settlement: Settlement)] = [], pause: Duration = .seconds(1))
  {
    self.pause = pause
    for (id, settlement) in entries {
      let lease = settlement.lease.lease
      processes[
        lease.gateway, default: Process(entries: [], renewal: Self.firstRenewal, oldest: .max)
      ].entries.append(Entry(id: id, settlement: settlement))
    }
    for peer in processes.keys.sorted() {
      processes[peer]?.entries.sort { $0.settlement.lease.number < $1.settlement.lease.number }
      let oldest = processes[peer]?.entries.map(\.settlement.lease.lease.number).min()
      processes[peer]?.oldest = oldest ?? .max
    }
  }

  /// A number above the numbers of all renewals that the earlier process can have sent.
  private static let firstRenewal: UInt64 = 1 << 48

  public var isEmpty: Bool { processes.isEmpty }

  public mutating func tick(now: Instant) -> [Directive] {
    var directives: [Directive] = []
    for peer in processes.keys.sorted() {
      guard var process = processes[peer], let first = process.entries.first,
        process.sent.map({ $0.advanced(by: pause) <= now }) ?? true
      else { continue }
      process.sent = now
      process.renewal += 1
      processes[peer] = process
      // The renewal goes first, so that the registry keeps the money while it receives the
      // settlements. Settlements before the first entry were confirmed, so the journal lacks them.
      directives.append(
        .renew(
          LeaseRenewal(
            gateway: peer, number: process.renewal, oldest: process.oldest,
            confirmed: first.settlement.lease.number.subtractingCapped(1))))
      for entry in process.entries.prefix(Limits.repeatedSettlements.value) {
        directives.append(.send(entry.settlement))
      }
    }
    return directives
  }

  public mutating func receive(_ answer: LeaseAnswer) -> [Directive] {
    switch answer {
    case .renewed(let renewal, let through): return confirm(renewal.gateway, through: through)
    case .settled(let gateway, let through): return confirm(gateway, through: through)
    case .ended(let gateway, let through):
      // The registry ended the leases up to `through`, so only later ones can be renewed.
      if let oldest = processes[gateway]?.oldest, through < .max {
        processes[gateway]?.oldest = max(oldest, through + 1)
      }
      return []
    case .granted, .refused, .waiting, .recalled, .returned, .unknown: return []
    }
  }

  private mutating func confirm(_ gateway: PeerID, through: UInt64) -> [Directive] {
    guard var process = processes[gateway] else { return [] }
    var directives: [Directive] = []
    let confirmed = process.entries.prefix { $0.settlement.lease.number <= through }
    for entry in confirmed { directives.append(.forget(entry: entry.id)) }
    process.entries.removeFirst(confirmed.count)
    if !confirmed.isEmpty { process.sent = nil }
    guard let last = confirmed.last, process.entries.isEmpty else {
      processes[gateway] = process
      return directives
    }
    processes[gateway] = nil
    // This renewal ends all leases of the process. If it is lost, they end when they expire.
    directives.append(
      .renew(
        LeaseRenewal(
          gateway: gateway, number: process.renewal + 1, oldest: .max,
          confirmed: last.settlement.lease.number)))
    return directives
  }
}
