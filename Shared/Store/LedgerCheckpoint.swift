internal import ClusterModel
internal import Crypto

/// State of the accounts at one place in the ledger, in the form in which it is stored. The store
/// does not interpret its contents.
public struct LedgerCheckpoint: Hashable, Sendable {
  /// Number of transactions that the checkpoint covers.
  public let position: Int64
  public let json: String
  /// Ids of recent transactions, encoded as bytes.
  public let ids: [UInt8]

  public init(position: Int64, json: String, ids: [UInt8]) {
    self.position = position
    self.json = json
    self.ids = ids
  }

  var byteCount: Int { json.utf8.count + ids.count }

  /// SHA-256 of all members. The length of the JSON separates it from the ids.
  var checksum: [UInt8] {
    var hash = SHA256()
    hash.update(data: Array("\(position) \(json.utf8.count) ".utf8))
    hash.update(data: Array(json.utf8))
    hash.update(data: ids)
    return Array(hash.finalize())
  }
}

/// Result of reading a checkpoint.
public enum ReadCheckpoint: Hashable, Sendable {
  case intact(LedgerCheckpoint)
  /// The checkpoint's checksum or form is wrong, or it is too large.
  case damaged(position: Int64)

  public var position: Int64 {
    switch self {
    case .intact(let checkpoint): checkpoint.position
    case .damaged(let position): position
    }
  }
}
