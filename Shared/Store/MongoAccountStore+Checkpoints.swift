public import ClusterModel
internal import Foundation

/// Checkpoints of the ledger, one document each.
extension MongoAccountStore {
  /// Maximum bytes of the JSON and the base64 text of the ids. MongoDB limits a document to 16 MiB.
  private static let documentBytes = 15 << 20

  public func save(_ checkpoint: LedgerCheckpoint) async throws(Failure) {
    let ids = Data(checkpoint.ids).base64EncodedString()
    guard checkpoint.json.utf8.count + ids.utf8.count <= Self.documentBytes else {
      throw Failure(
        .invalidRequest,
        "The checkpoint of the ledger has more than \(Self.documentBytes) bytes, the limit of "
          + "MongoDB.")
    }
    try await perform { [self] client, state throws(Failure) in
      try checkEpoch(client)
      let checkpoints = client.collection(Collection.checkpoints)
      // A checkpoint with a later position was made from a ledger that no longer exists.
      let later = BSONDocument().set("$gte", checkpoint.position)
      try checkpoints.delete(BSONDocument().set("_id", later))
      let document = newDocument(at: checkpoint.position, &state)
      document.members.set("json", checkpoint.json).set("ids", ids)
        .set("checksum", checkpoint.checksum.hexadecimal)
      try insert(document, into: Collection.checkpoints, client)
      let options = BSONDocument().set("sort", BSONDocument().set("_id", -1)).set("skip", 1)
        .set("limit", 1)
      let kept = try checkpoints.find(BSONDocument(), options: options) { $0.number("_id") }
      if let kept = kept.first {
        try checkpoints.delete(BSONDocument().set("_id", BSONDocument().set("$lt", kept)))
      }
    }
  }

  public func checkpoint(before position: Int64?) async throws(Failure) -> ReadCheckpoint? {
    try await perform { client, _ throws(Failure) in
      let earlier = BSONDocument().set("$lt", position ?? .max)
      return try client.collection(Collection.checkpoints)
        .find(BSONDocument().set("_id", earlier), options: Self.lastDocument) {
          view -> ReadCheckpoint? in
          view.number("_id").map { place -> ReadCheckpoint in
            guard let json = view.text("json"),
              let ids = view.text("ids").flatMap({ Data(base64Encoded: $0) })
            else { return .damaged(position: place) }
            let checkpoint = LedgerCheckpoint(position: place, json: json, ids: [UInt8](ids))
            return view.text("checksum") == checkpoint.checksum.hexadecimal
              ? .intact(checkpoint) : .damaged(position: place)
          }
        }.first
    }
  }

  public func removeCheckpoint(at position: Int64) async throws(Failure) {
    try await perform { client, _ throws(Failure) in
      try client.collection(Collection.checkpoints)
        .delete(BSONDocument().set("_id", position))
    }
  }
}
