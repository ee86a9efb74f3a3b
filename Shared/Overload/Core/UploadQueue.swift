public import Limits

/// Limits each client's bytes of large request bodies in transfer. Further bodies wait in order of
/// arrival and are not read meanwhile.
///
/// Each body reserves its full size at once, so that two half-read bodies cannot block each other.
public struct UploadQueue: Sendable {
  private struct Waiter {
    let id: Int
    let client: ClientID
    let bytes: Int
  }

  private let share: Int
  private var held: [ClientID: Int] = [:]
  private var waiters: [Waiter] = []

  /// - Parameter share: maximum bytes of bodies that one client may have in transfer at once.
  public init(share: Int = Limits.uploadBytesPerClient.value) { self.share = share }

  /// Requests room for a body.
  /// - Returns: whether there is room. If not, a later `release` returns `id`, unless withdrawn.
  public mutating func ask(_ id: Int, _ bytes: Int, _ client: ClientID) -> Bool {
    guard hasRoom(bytes, client), !waiters.contains(where: { $0.client == client }) else {
      waiters.append(Waiter(id: id, client: client, bytes: bytes))
      return false
    }
    held[client, default: 0] += bytes
    return true
  }

  /// Removes a waiting body.
  public mutating func withdraw(_ id: Int) { waiters.removeAll { $0.id == id } }

  /// Releases the room of a body.
  /// - Returns: the ids of waiting bodies that have room now.
  public mutating func release(_ bytes: Int, _ client: ClientID) -> [Int] {
    let rest = (held[client] ?? 0) - bytes
    held[client] = rest > 0 ? rest : nil
    var served: [Int] = []
    for waiter in waiters where waiter.client == client {
      guard hasRoom(waiter.bytes, client) else { break }
      held[client, default: 0] += waiter.bytes
      served.append(waiter.id)
    }
    if !served.isEmpty { waiters.removeAll { served.contains($0.id) } }
    return served
  }

  /// A body larger than the share has room only if no other body of its client is in transfer.
  private func hasRoom(_ bytes: Int, _ client: ClientID) -> Bool {
    guard let used = held[client] else { return true }
    return used.addingCapped(bytes) <= share
  }
}
