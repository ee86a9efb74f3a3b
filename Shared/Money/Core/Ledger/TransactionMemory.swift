internal import Limits

/// Ids of recent transactions, by which a repeated transaction is recognised.
///
/// Two generations of ids are kept. When the newer one is full, the older one is dropped. The
/// latest time of a dropped transaction is the horizon: for transactions up to that time, it is
/// uncertain whether their ids are new. If a later transaction reuses a dropped id, only the store,
/// which keeps ids unique, finds the conflict.
struct TransactionMemory: Hashable, Sendable {
  enum Recollection: Hashable {
    case new, repeated, conflict
    /// The id may have been dropped.
    case unsure
  }

  /// Ids, each with the digest of its transaction's content.
  private typealias Generation = [TransactionDigest.ID: UInt64]

  private var newer: Generation = [:]
  private var older: Generation = [:]
  private var latestOfNewer = Int64.min
  private var latestOfOlder = Int64.min
  /// Latest time of a dropped transaction. `nil` means that none was dropped.
  private var horizon: Int64?
  private let generationSize: Int

  init(limit: Int = Limits.rememberedTransactions.value) {
    generationSize = max(1, limit / 2)
  }

  func recall(_ transaction: LedgerTransaction) -> Recollection {
    recall(transaction, TransactionDigest(transaction))
  }

  /// - Parameter digest: digest of the transaction.
  func recall(_ transaction: LedgerTransaction, _ digest: TransactionDigest) -> Recollection {
    if let content = newer[digest.id] ?? older[digest.id] {
      return content == digest.content ? .repeated : .conflict
    }
    if let horizon, transaction.time <= horizon { return .unsure }
    return .new
  }

  func contains(id: String) -> Bool {
    let id = TransactionDigest.ID(id)
    return newer[id] != nil || older[id] != nil
  }

  mutating func remember(_ transaction: LedgerTransaction) {
    remember(transaction, TransactionDigest(transaction))
  }

  /// - Parameter digest: digest of the transaction.
  mutating func remember(_ transaction: LedgerTransaction, _ digest: TransactionDigest) {
    if newer.count >= generationSize { dropOlder() }
    newer[digest.id] = digest.content
    latestOfNewer = max(latestOfNewer, transaction.time)
  }

  private mutating func dropOlder() {
    if !older.isEmpty { horizon = max(horizon ?? .min, latestOfOlder) }
    older = newer
    latestOfOlder = latestOfNewer
    newer = [:]
    latestOfNewer = .min
  }

  // MARK: - Bytes

  private static let headerWords = 7
  private static let wordsPerID = 3

  /// The memory as bytes, for a checkpoint. Equal memories have equal bytes.
  var bytes: [UInt8] {
    let header: [UInt64] = [
      UInt64(generationSize), UInt64(newer.count), UInt64(older.count),
      UInt64(bitPattern: latestOfNewer), UInt64(bitPattern: latestOfOlder),
      horizon == nil ? 0 : 1, UInt64(bitPattern: horizon ?? 0),
    ]
    var bytes: [UInt8] = []
    bytes.reserveCapacity(
      8 * (header.count + Self.wordsPerID * (newer.count + older.count)))
    for word in header { bytes.append(word: word) }
    for generation in [newer, older] {
      for (id, content) in generation.sorted(by: { $0.key < $1.key }) {
        bytes.append(word: id.high)
        bytes.append(word: id.low)
        bytes.append(word: content)
      }
    }
    return bytes
  }

  /// - Parameter limit: as for `init(limit:)`. It must equal the limit with which the bytes were
  ///   made.
  /// - Returns: `nil` if the bytes are no memory with this limit.
  init?(bytes: [UInt8], limit: Int = Limits.rememberedTransactions.value) {
    self.init(limit: limit)
    let header = (0..<Self.headerWords).compactMap { bytes.word(at: 8 * $0) }
    guard header.count == Self.headerWords, header[0] == UInt64(generationSize),
      header[1] <= header[0], header[2] <= header[0],
      let newerCount = Int(exactly: header[1]), let olderCount = Int(exactly: header[2]),
      bytes.count == 8 * (Self.headerWords + Self.wordsPerID * (newerCount + olderCount))
    else { return nil }
    latestOfNewer = Int64(bitPattern: header[3])
    latestOfOlder = Int64(bitPattern: header[4])
    horizon = header[5] == 0 ? nil : Int64(bitPattern: header[6])
    newer = Self.generation(bytes, from: 0, count: newerCount)
    older = Self.generation(bytes, from: newerCount, count: olderCount)
    // If an id is repeated, there are fewer entries than the header states.
    guard newer.count == newerCount, older.count == olderCount else { return nil }
  }

  private static func generation(_ bytes: [UInt8], from start: Int, count: Int) -> Generation {
    var generation = Generation(minimumCapacity: count)
    for index in start..<start + count {
      let offset = 8 * (headerWords + wordsPerID * index)
      guard let high = bytes.word(at: offset), let low = bytes.word(at: offset + 8),
        let content = bytes.word(at: offset + 16)
      else { break }
      generation[TransactionDigest.ID(high: high, low: low)] = content
    }
    return generation
  }
}
