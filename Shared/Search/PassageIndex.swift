public import ClusterModel
internal import GRDB

/// An in-memory full-text index over passages, for one task. It uses SQLite's FTS5 and ranks by
/// BM25.
public struct PassageIndex: Sendable {
  /// A passage. A match in its text counts more than a match in the name of its document.
  public struct Entry: Sendable {
    var name: String
    var text: String

    public init(name: String, text: String) {
      self.name = name
      self.text = text
    }
  }

  private let queue: DatabaseQueue

  /// Indexes the entries. A search returns their positions in `entries`.
  ///
  /// - Throws: `internalError` with SQLite's message, or `cancelled`.
  public init(_ entries: [Entry]) async throws(Failure) {
    queue = try await Self.doing { try DatabaseQueue() }
    let queue = queue
    try await Self.doing {
      try await queue.write { database in
        // The table is contentless. Queries need only positions, so the index keeps no copy of the
        // texts.
        try database.execute(
          sql: """
            CREATE VIRTUAL TABLE passages USING fts5(
              name, text, content = '', tokenize = 'porter unicode61 remove_diacritics 2')
            """)
        let insert = try database.makeStatement(
          sql: "INSERT INTO passages(rowid, name, text) VALUES (?, ?, ?)")
        for (position, entry) in entries.enumerated() {
          try insert.execute(arguments: [position + 1, entry.name, entry.text])
        }
      }
    }
  }

  /// - Parameters:
  ///   - match: a query in FTS5's syntax. An empty query finds no entry.
  ///   - limit: maximum number of results.
  /// - Returns: positions of entries, the best match first.
  public func best(_ match: String, limit: Int) async throws(Failure) -> [Int] {
    guard !match.isEmpty else { return [] }
    let queue = queue
    return try await Self.doing {
      try await queue.read { database in
        try Int.fetchAll(
          database,
          sql: """
            SELECT rowid - 1 FROM passages WHERE passages MATCH ?
            ORDER BY bm25(passages, 0.5, 1.0), rowid LIMIT ?
            """, arguments: [match, limit])
      }
    }
  }

  private static func doing<Result>(
    _ work: () async throws -> Result
  ) async throws(Failure) -> Result {
    do {
      return try await work()
    } catch is CancellationError {
      throw Failure(.cancelled, "the search was cancelled")
    } catch {
      throw Failure(.internalError, "the documents cannot be searched: \(error)")
    }
  }
}
