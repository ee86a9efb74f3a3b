public import Limits

/// Large request bodies that are on their way, by client. What is above a client's share waits in
/// order of arrival and is not read meanwhile.
///
/// Each body takes its whole room at once, so that two half-read bodies cannot wait for each other.
public struct UploadQueue: Sendable {
  private struct Waiter {
    let id: Int
    let client: ClientID
    let bytes: Int
  }

  private let share: Int
  private var held: [ClientID: Int] = [:]
  private var waiters: [Waiter] = []

  /// - Parameter share: bytes of bodies that one client may have on their way at once.
  public init(share: Int = Limits.uploadBytesPerClient.value) { self.share = share }

  /// Asks for room.
  /// - Returns: whether there is room; otherwise `id` comes from a later `release` or is withdrawn.
  public mutating func ask(_ id: Int, _ bytes: Int, _ client: ClientID) -> Bool {
    guard hasRoom(bytes, client), !waiters.contains(where: { $0.client == client }) else {
      waiters.append(Waiter(id: id, client: client, bytes: bytes))
      return false
    }
    held[client, default: 0] += bytes
    return true
  }

  /// Gives up waiting.
  public mutating func withdraw(_ id: Int) { waiters.removeAll { $0.id == id } }

  /// Returns room.
  /// - Returns: those who waited for it and have their room now.
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

  /// A body that is larger than the share has its room when nothing else is on its way.
  private func hasRoom(_ bytes: Int, _ client: ClientID) -> Bool {
    guard let used = held[client] else { return true }
    return used.addingCapped(bytes) <= share
  }
}
