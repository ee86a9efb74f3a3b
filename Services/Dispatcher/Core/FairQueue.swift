/// Who may begin next when more want to than may run at once: clients take turns, so that one with a
/// thousand tasks waits a thousand turns, and one with a single task waits one.
///
/// Knows no clock, task or agent; whoever asks keeps what a ticket stands for.
public struct FairQueue<Ticket: Hashable & Sendable>: Sendable {
  /// How many may run at once.
  public private(set) var limit: Int
  public private(set) var running = 0
  /// Clients with somebody waiting, the one whose turn is next first.
  private var turns: Line<String> = Line()
  private var lines: [String: Line<Ticket>] = [:]
  /// Those that wait. One that has left is skipped when its turn comes.
  private var waiting: Set<Ticket> = []

  public init(limit: Int) { self.limit = max(1, limit) }

  public var waitingCount: Int { waiting.count }

  /// - Returns: who may begin now, in this order; perhaps the ticket itself.
  public mutating func join(_ ticket: Ticket, client: String) -> [Ticket] {
    guard waiting.insert(ticket).inserted else { return [] }
    if lines[client] == nil { turns.append(client) }
    lines[client, default: Line()].append(ticket)
    return admitted()
  }

  /// One that had begun has ended.
  public mutating func end() -> [Ticket] {
    running = max(0, running - 1)
    return admitted()
  }

  /// One that waits wants to no more.
  /// - Returns: false if it does not wait: it has begun, or was never here.
  public mutating func leave(_ ticket: Ticket) -> Bool { waiting.remove(ticket) != nil }

  /// - Returns: who may begin because of it.
  public mutating func setLimit(_ limit: Int) -> [Ticket] {
    self.limit = max(1, limit)
    return admitted()
  }

  private mutating func admitted() -> [Ticket] {
    var admitted: [Ticket] = []
    while running < limit, let client = turns.removeFirst() {
      while let ticket = lines[client]?.removeFirst() {
        guard waiting.remove(ticket) != nil else { continue }
        admitted.append(ticket)
        running += 1
        break
      }
      if lines[client]?.isEmpty == false { turns.append(client) } else { lines[client] = nil }
    }
    return admitted
  }
}

/// First come, first served, in constant time on average.
private struct Line<Element: Sendable>: Sendable {
  private var elements: [Element] = []
  private var first = 0

  var isEmpty: Bool { first == elements.count }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func removeFirst() -> Element? {
    guard first < elements.count else { return nil }
    let element = elements[first]
    first += 1
    // Now and then what was served is forgotten, when it is at least half of everything.
    if first > 32, 2 * first > elements.count {
      elements.removeSubrange(..<first)
      first = 0
    }
    return element
  }
}
