/// A dictionary with a maximum size. A new entry replaces the least recently used one.
///
/// Every operation takes constant time. The entries form a doubly linked list in order of use.
struct RecentTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private struct Entry: Sendable {
    var key: Key
    var value: Value
    /// Index of the entry that was used before this one. -1 means none.
    var older = -1
    /// Index of the entry that was used after this one. -1 means none.
    var newer = -1
  }

  private let capacity: Int
  private var entries: [Entry] = []
  private var places: [Key: Int] = [:]
  private var oldest = -1
  private var newest = -1

  /// - Parameter capacity: values below 1 count as 1.
  init(capacity: Int) { self.capacity = max(capacity, 1) }

  var count: Int { entries.count }

  /// Keys of all entries, in no particular order.
  var keys: [Key] { entries.map(\.key) }

  /// Changes the value of a key. The key becomes the most recently used one.
  ///
  /// - Parameter initial: value that a key without an entry gets first.
  mutating func use<Result>(
    _ key: Key, initial: @autoclosure () -> Value, _ body: (inout Value) -> Result
  ) -> Result {
    let place = places[key] ?? insert(key, initial())
    moveToEnd(place)
    return body(&entries[place].value)
  }

  /// Changes the value of a key that has an entry. `nil` means that the key has none.
  ///
  /// - Parameter isUse: whether the key becomes the most recently used one.
  mutating func change<Result>(
    _ key: Key, isUse: Bool = false, _ body: (inout Value) -> Result
  ) -> Result? {
    guard let place = places[key] else { return nil }
    if isUse { moveToEnd(place) }
    return body(&entries[place].value)
  }

  private mutating func insert(_ key: Key, _ value: Value) -> Int {
    let place: Int
    if entries.count < capacity {
      place = entries.count
      entries.append(Entry(key: key, value: value))
    } else {
      place = oldest
      unlink(place)
      places[entries[place].key] = nil
      entries[place] = Entry(key: key, value: value)
    }
    places[key] = place
    link(place)
    return place
  }

  private mutating func moveToEnd(_ place: Int) {
    guard place != newest else { return }
    unlink(place)
    link(place)
  }

  private mutating func unlink(_ place: Int) {
    let (older, newer) = (entries[place].older, entries[place].newer)
    if older < 0 { oldest = newer } else { entries[older].newer = newer }
    if newer < 0 { newest = older } else { entries[newer].older = older }
  }

  private mutating func link(_ place: Int) {
    entries[place].older = newest
    entries[place].newer = -1
    if newest < 0 { oldest = place } else { entries[newest].newer = place }
    newest = place
  }
}
