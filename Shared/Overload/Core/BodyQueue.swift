import Limits

/// Owner of a request's body: the request's key if it has one, otherwise the client's address.
public enum BodyOwner: Hashable, Sendable {
  case address(ClientID)
  /// The number of the key.
  case key(UInt64)

  /// Number that identifies the owner when clients take turns.
  public var turn: UInt64 {
    switch self {
    case .address(let client): client.turn
    case .key(let number): ~number
    }
  }
}

/// Limits the bytes of each owner's request bodies in memory. Further bodies wait in order of
/// arrival and are not read meanwhile.
///
/// A body reserves its full size in one step, so that two half-read bodies cannot block each other.
public struct BodyQueue: Sendable {
  private struct Waiter {
    let id: Int
    let bytes: Int
  }

  private struct Line {
    var held = 0
    var waiting: [Waiter] = []

    /// A body larger than the share has room only if no other body of its owner is in memory.
    func hasRoom(_ bytes: Int, _ share: Int) -> Bool {
      held == 0 || held.addingCapped(bytes) <= share
    }
  }

  private var lines: [BodyOwner: Line] = [:]

  public init() {}

  /// Number of owners with bodies in memory or in the queue.
  public var owners: Int { lines.count }

  /// Requests room for a body.
  ///
  /// - Parameter share: maximum bytes that the owner's bodies may take together.
  /// - Returns: whether there is room. If not, a later `release` or `withdraw` of another body
  ///   returns `id`.
  public mutating func ask(_ id: Int, _ bytes: Int, _ owner: BodyOwner, share: Int) -> Bool {
    var line = lines[owner] ?? Line()
    defer { lines[owner] = line }
    guard line.waiting.isEmpty, line.hasRoom(bytes, share) else {
      line.waiting.append(Waiter(id: id, bytes: bytes))
      return false
    }
    line.held += bytes
    return true
  }

  /// Removes a waiting body.
  /// - Returns: the ids of the owner's other waiting bodies that have room now.
  public mutating func withdraw(_ id: Int, _ owner: BodyOwner, share: Int) -> [Int] {
    lines[owner]?.waiting.removeAll { $0.id == id }
    return release(0, owner, share: share)
  }

  /// Releases the room of a body, or a part of it.
  /// - Returns: the ids of waiting bodies that have room now.
  public mutating func release(_ bytes: Int, _ owner: BodyOwner, share: Int) -> [Int] {
    guard var line = lines[owner] else { return [] }
    line.held = max(0, line.held - bytes)
    var served: [Int] = []
    for waiter in line.waiting {
      guard line.hasRoom(waiter.bytes, share) else { break }
      line.held += waiter.bytes
      served.append(waiter.id)
    }
    line.waiting.removeFirst(served.count)
    lines[owner] = line.held == 0 && line.waiting.isEmpty ? nil : line
    return served
  }
}
