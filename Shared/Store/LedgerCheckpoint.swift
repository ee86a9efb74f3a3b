internal import ClusterModel
internal import Crypto

/// State of the accounts at one place in the ledger, as stored. Its contents are opaque to the
/// store.
public struct LedgerCheckpoint: Hashable, Sendable {
  /// Number of transactions that it covers.
  public let position: Int64
  public let json: String
  /// Ids of recent transactions.
  public let ids: [UInt8]

  public init(position: Int64, json: String, ids: [UInt8]) {
    self.position = position
    self.json = json
    self.ids = ids
  }

  var byteCount: Int { json.utf8.count + ids.count }

  /// SHA-256 over all members. The length separates the last two.
  var checksum: [UInt8] {
    var hash = SHA256()
    hash.update(data: Array("\(position) \(json.utf8.count) ".utf8))
    hash.update(data: Array(json.utf8))
    hash.update(data: ids)
    return Array(hash.finalize())
  }
}

/// A checkpoint that was read.
public enum ReadCheckpoint: Hashable, Sendable {
  case intact(LedgerCheckpoint)
  /// Its checksum or its form is wrong.
  case damaged(position: Int64)

  public var position: Int64 {
    switch self {
    case .intact(let checkpoint): checkpoint.position
    case .damaged(let position): position
    }
  }
}
