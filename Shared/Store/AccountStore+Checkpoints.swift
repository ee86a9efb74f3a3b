public import ClusterModel
internal import Foundation
internal import GRDB
internal import Limits

/// Checkpoints of the ledger. They may be removed at any time, because a replay of the ledger
/// computes the same facts.
extension AccountStore {
  /// Saves a checkpoint, and removes all others except the one before it.
  /// - Throws: `invalidRequest` if the checkpoint exceeds `ledger.checkpoint_bytes`.
  public func save(_ checkpoint: LedgerCheckpoint) async throws(Failure) {
    guard checkpoint.byteCount <= Limits.checkpointBytes.value else {
      throw Failure(
        .invalidRequest, "The checkpoint of the ledger has \(Overdrawn(Limits.checkpointBytes)).")
    }
    try await write { database in
      try database.execute(
        sql: """
          INSERT OR REPLACE INTO checkpoints (position, json, ids, checksum) VALUES (?, ?, ?, ?)
          """,
        arguments: [
          checkpoint.position, checkpoint.json, Data(checkpoint.ids), Data(checkpoint.checksum),
        ])
      // A checkpoint with a later position was made from a ledger that no longer exists.
      try database.execute(
        sql: """
          DELETE FROM checkpoints WHERE position > ? OR position NOT IN
            (SELECT position FROM checkpoints WHERE position <= ? ORDER BY position DESC LIMIT 2)
          """,
        arguments: [checkpoint.position, checkpoint.position])
    }
  }

  /// The latest checkpoint.
  /// - Parameter position: place in the ledger. Only checkpoints before this place are returned.
  ///   `nil` means the latest of all checkpoints.
  /// - Returns: `nil` if there is no such checkpoint.
  public func checkpoint(before position: Int64? = nil) async throws(Failure) -> ReadCheckpoint? {
    try await read { database in
      let size = try Row.fetchOne(
        database,
        sql: """
          SELECT position, length(CAST(json AS BLOB)) + length(ids) AS size FROM checkpoints
          WHERE position < ? ORDER BY position DESC LIMIT 1
          """,
        arguments: [position ?? .max])
      guard let size else { return nil }
      let place = try size.decode(Int64.self, forColumn: "position")
      guard try size.decode(Int.self, forColumn: "size") <= Limits.checkpointBytes.value,
        let row = try Row.fetchOne(
          database, sql: "SELECT json, ids, checksum FROM checkpoints WHERE position = ?",
          arguments: [place])
      else { return .damaged(position: place) }
      let checkpoint = LedgerCheckpoint(
        position: place, json: try row.decode(String.self, forColumn: "json"),
        ids: [UInt8](try row.decode(Data.self, forColumn: "ids")))
      let checksum = [UInt8](try row.decode(Data.self, forColumn: "checksum"))
      return checksum == checkpoint.checksum ? .intact(checkpoint) : .damaged(position: place)
    }
  }

  public func removeCheckpoint(at position: Int64) async throws(Failure) {
    try await write { database in
      try database.execute(
        sql: "DELETE FROM checkpoints WHERE position = ?", arguments: [position])
    }
  }
}
