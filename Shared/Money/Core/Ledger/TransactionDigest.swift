internal import Crypto

/// Digest of a transaction's id, and digest of the content that a repetition must also have.
///
/// The digest is the same in every process, so checkpoints can contain it. Ids contain names that
/// admins choose, so a collision must be infeasible.
struct TransactionDigest: Hashable, Sendable {
  /// First 128 bits of the id's SHA-256.
  struct ID: Hashable, Comparable, Sendable {
    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
      self.high = high
      self.low = low
    }

    init(_ id: String) {
      (high, low) = TransactionDigest.hash(Array(id.utf8))
    }

    static func < (left: Self, right: Self) -> Bool {
      (left.high, left.low) < (right.high, right.low)
    }
  }

  let id: ID
  /// First 64 bits of the SHA-256 of kind and entries. A repetition may have another time and note,
  /// but the same effect.
  let content: UInt64

  init(_ transaction: LedgerTransaction) {
    id = ID(transaction.id)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(256)
    bytes += transaction.kind.rawValue.utf8
    for entry in transaction.entries {
      let name = entry.account.name.utf8
      // The length separates the name from the bytes around it.
      bytes.append(word: UInt64(name.count))
      bytes += name
      bytes.append(word: UInt64(bitPattern: entry.amount.count))
    }
    content = Self.hash(bytes).0
  }

  fileprivate static func hash(_ bytes: [UInt8]) -> (UInt64, UInt64) {
    var words: (UInt64, UInt64) = (0, 0)
    var index = 0
    for byte in SHA256.hash(data: bytes) {
      if index < 8 {
        words.0 = words.0 << 8 | UInt64(byte)
      } else if index < 16 {
        words.1 = words.1 << 8 | UInt64(byte)
      }
      index += 1
    }
    return words
  }
}

extension [UInt8] {
  /// Appends the word's eight bytes, the lowest first.
  mutating func append(word: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      append(UInt8(truncatingIfNeeded: word >> shift))
    }
  }

  /// - Returns: `nil` if the array does not have eight bytes at the offset.
  func word(at offset: Int) -> UInt64? {
    guard offset >= 0, count >= 8, offset <= count - 8 else { return nil }
    return self[offset..<offset + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
  }
}
