/// A queue in which clients take turns: a client with a thousand jobs waits a thousand turns, and a
/// client with one job waits one.
///
/// It has no clock and runs nothing; the caller keeps what a ticket stands for.
public struct FairQueue<Client: Hashable & Sendable, Ticket: Hashable & Sendable>: Sendable {
  /// How many may run at once.
  public private(set) var limit: Int
  public private(set) var running = 0
  /// Clients with waiting tickets, in the order of their turns.
  private var turns: Line<Client> = Line()
  private var lines: [Client: Line<Ticket>] = [:]
  /// Tickets that wait. A ticket that left is skipped when its turn comes.
  private var waiting: Set<Ticket> = []

  public init(limit: Int) { self.limit = max(1, limit) }

  public var waitingCount: Int { waiting.count }

  /// - Returns: the tickets that may begin now, in this order; possibly this one.
  public mutating func join(_ ticket: Ticket, client: Client) -> [Ticket] {
    guard waiting.insert(ticket).inserted else { return [] }
    if lines[client] == nil { turns.append(client) }
    lines[client, default: Line()].append(ticket)
    return admitted()
  }

  /// A ticket that had begun has ended.
  /// - Returns: the tickets that may begin now.
  public mutating func end() -> [Ticket] {
    running = max(0, running - 1)
    return admitted()
  }

  /// Removes a waiting ticket.
  /// - Returns: `false` if it does not wait: it has begun, or was never here.
  public mutating func leave(_ ticket: Ticket) -> Bool { waiting.remove(ticket) != nil }

  /// - Returns: the tickets that may begin because of it.
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
    // Served elements are dropped when they are at least half of all.
    if first > 32, 2 * first > elements.count {
      elements.removeSubrange(..<first)
      first = 0
    }
    return element
  }
}
