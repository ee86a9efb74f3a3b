public import ClusterModel
internal import GRDB
internal import Limits

extension AccountStore {
  /// Adds the change of a host to the audit log. The hosts are in a store of their own.
  ///
  /// - Parameters:
  ///   - before: JSON before the change. `nil` means that the host was absent.
  ///   - after: JSON after the change. `nil` means that the host was removed.
  /// - Throws: `invalidRequest` if a record exceeds its limit.
  public func recordChange(
    ofHost id: String, before: String?, after: String?, by author: ChangeAuthor
  ) async throws(Failure) {
    try Self.checkHost(before: before, after: after)
    try await write { database in
      try Self.record(
        kind: "host", id: id.storable, before: before?.storable, after: after?.storable,
        by: author, in: database)
    }
  }

  /// Refuses records that are too large.
  static func checkHost(before: String?, after: String?) throws(Failure) {
    for json in [before, after].compactMap(\.self)
    where json.utf8.count > Limits.recordBytes.value {
      throw Failure(.invalidRequest, "The record has \(Overdrawn(Limits.recordBytes)).")
    }
  }
}
