/// Round-robin queue: clients take turns, so that a client with many jobs does not delay the
/// others.
///
/// The queue has no clock and runs nothing. The caller maps tickets to jobs.
public struct FairQueue<Client: Hashable & Sendable, Ticket: Hashable & Sendable>: Sendable {
  /// Maximum number of tickets that run at the same time.
  public private(set) var limit: Int
  public private(set) var running = 0
  /// Clients with waiting tickets, in round-robin order.
  private var turns: Line<Client> = Line()
  private var lines: [Client: Line<Ticket>] = [:]
  /// Tickets that wait. A ticket that `leave` removed is skipped at its turn.
  private var waiting: Set<Ticket> = []

  public init(limit: Int) { self.limit = max(1, limit) }

  public var waitingCount: Int { waiting.count }

  /// Adds a ticket of a client.
  /// - Returns: the tickets that may begin now, in order. They may include the added one.
  public mutating func join(_ ticket: Ticket, client: Client) -> [Ticket] {
    guard waiting.insert(ticket).inserted else { return [] }
    if lines[client] == nil { turns.append(client) }
    lines[client, default: Line()].append(ticket)
    return admitted()
  }

  /// Records that a running ticket has ended.
  /// - Returns: the tickets that may begin now.
  public mutating func end() -> [Ticket] {
    running = max(0, running - 1)
    return admitted()
  }

  /// Removes a waiting ticket.
  /// - Returns: `false` if the ticket does not wait, because it has begun or never joined.
  public mutating func leave(_ ticket: Ticket) -> Bool { waiting.remove(ticket) != nil }

  /// Changes the maximum number of running tickets.
  /// - Returns: the tickets that may begin because of the new limit.
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

/// First-in, first-out queue. Each operation takes constant time on average.
private struct Line<Element: Sendable>: Sendable {
  private var elements: [Element] = []
  private var first = 0

  var isEmpty: Bool { first == elements.count }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func removeFirst() -> Element? {
    guard first < elements.count else { return nil }
    let element = elements[first]
    first += 1
    // Drop the removed prefix when it is more than half of the array.
    if first > 32, 2 * first > elements.count {
      elements.removeSubrange(..<first)
      first = 0
    }
    return element
  }
}
