public import ClusterModel
internal import Limits
internal import Synchronization

/// Accounts in MongoDB, for a registry that may move to another machine.
///
/// An append is normally one document. Its `_id` is the position of its first transaction. A list
/// of changes is also one document. Its `_id` is the first revision of the changes. A document is
/// written whole or not at all, so no transactions of the server are needed. Two writers cannot
/// both write the next document, because both documents would have the same `_id`. Documents of
/// ledger and records are never changed or deleted.
///
/// Each store that opens the database takes the next number of `registry_writers`. A store with an
/// earlier number writes nothing any more: its changes throw `storeTaken`.
///
/// If the answer to a write is lost, the store sends the same document once more and reads the
/// document at its position. This normally shows the outcome.
public final class MongoAccountStore: AccountStoring {
  enum Collection {
    static let writers = "registry_writers"
    static let ledger = "registry_ledger"
    static let changes = "registry_changes"
    static let checkpoints = "registry_checkpoints"
  }

  struct State: Sendable {
    /// Position of the last transaction. `nil` means that the position must be read, at first and
    /// if the outcome of the last write is unknown.
    var end: Int64?
    /// `nil` means that the records must be read.
    var records: RecordsInMemory?
    /// Number of the last document that this store made.
    var write: Int64 = 0
  }

  private let writer: MongoQueue
  /// Runs lists and sums over the ledger. They can take seconds, so they have a queue of their own
  /// and do not delay writes.
  private let reader: MongoQueue
  private let state = Mutex(State())
  let epoch: Int64

  /// Connects, and makes all earlier writers stop.
  /// - Parameters:
  ///   - uri: `mongodb://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`.
  ///   - owner: name of this process, for error messages of a process that lost the store to it.
  ///   - patience: how long a call tries to find a server before it fails.
  public init(
    uri: String, owner: String, patience: Duration = .seconds(2)
  ) async throws(Failure) {
    let address = try MongoAddress(
      uri, patience: patience,
      remedy: "check registry.mongodb_uri (TUTTI_REGISTRY_MONGODB_URI)")
    address.requireMajority()
    let writer = try MongoQueue(address)
    self.writer = writer
    reader = try MongoQueue(address)
    epoch = try await writer.perform { client throws(Failure) in
      try client.ping()
      try Self.createIndexes(client)
      return try Self.takeEpoch(client, owner)
    }
  }

  /// Has no effect, because the connections close with the last reference to the store.
  public func close() async {}

  // MARK: - Writers

  private static func createIndexes(_ client: MongoClient) throws(Failure) {
    let indexes = [
      BSONDocument().set("key", BSONDocument().set("ids", 1)).set("name", "ids")
        .set("unique", true),
      BSONDocument().set("key", BSONDocument().set("accounts", 1)).set("name", "accounts"),
    ]
    try client.collection(Collection.ledger).run(
      BSONDocument().set("createIndexes", Collection.ledger).set("indexes", indexes),
      "create indexes of")
    let members = [("kind", "changes.kind"), ("id", "changes.id"), ("author", "author")]
    let audit = members.map { index in
      BSONDocument().set("key", BSONDocument().set(index.1, 1)).set("name", index.0)
    }
    try client.collection(Collection.changes).run(
      BSONDocument().set("createIndexes", Collection.changes).set("indexes", audit),
      "create indexes of")
  }

  private static func takeEpoch(_ client: MongoClient, _ owner: String) throws(Failure) -> Int64 {
    let writers = client.collection(Collection.writers)
    // Another process may take the same number at the same time. This process then tries the next
    // number.
    for _ in 0..<8 {
      let epoch = (try latestWriter(client)?.epoch ?? 0).addingCapped(1)
      let document = BSONDocument().set("_id", epoch).set("owner", owner.storable)
      if try writers.insertNew(document) { return epoch }
    }
    throw Failure(
      .storeTaken,
      "Other registries open the database at \(client.address.hosts) at the same time; run one "
        + "registry per database.")
  }

  private static func latestWriter(
    _ client: MongoClient
  ) throws(Failure) -> (epoch: Int64, owner: String)? {
    try client.collection(Collection.writers)
      .find(BSONDocument(), options: Self.lastDocument) { view in
        view.number("_id").map { (epoch: $0, owner: view.text("owner") ?? "") }
      }.first
  }

  /// Throws `storeTaken` if another store was opened later, because this store may then not write
  /// any more.
  func checkEpoch(_ client: MongoClient) throws(Failure) {
    guard let latest = try Self.latestWriter(client), latest.epoch == epoch else {
      let owner = try Self.latestWriter(client)?.owner ?? "none"
      throw Failure(
        .storeTaken,
        "Another registry (\(owner)) has opened the database at \(client.address.hosts), so this "
          + "one may not write any more; run one registry per database.")
    }
  }

  public func checkWriter() async throws(Failure) {
    try await perform { [self] client, _ throws(Failure) in try checkEpoch(client) }
  }

  // MARK: - Writes

  /// A new document, and the position that it takes in its collection.
  struct NewDocument {
    let position: Int64
    let write: Int64
    let members: BSONDocument
  }

  /// Begins a document. Its `write` number differs from that of any other document that this store
  /// makes.
  func newDocument(at position: Int64, _ state: inout State) -> NewDocument {
    state.write = state.write.addingCapped(1)
    return NewDocument(
      position: position, write: state.write,
      members: BSONDocument().set("_id", position).set("epoch", epoch).set("write", state.write))
  }

  /// Inserts the next document of a collection.
  ///
  /// After an error the server may have received the document. Therefore it is sent once more and
  /// read back.
  /// - Throws: An error after which the document may be stored, may be absent, or may still arrive.
  func insert(
    _ document: NewDocument, into name: String, _ client: MongoClient
  ) throws(Failure) {
    let collection = client.collection(name)
    var failure: Failure?
    for _ in 0..<2 {
      do throws(Failure) {
        if try collection.insertNew(document.members) { return }
        break
      } catch {
        failure = error
      }
    }
    let found = try collection.find(
      BSONDocument().set("_id", document.position), options: BSONDocument()
    ) { view in view.number("epoch") == epoch && view.number("write") == document.write }
    if found == [true] { return }
    if found.isEmpty, let failure { throw failure }
    throw try overtaken(client, name)
  }

  /// The error if another document has taken the position.
  private func overtaken(_ client: MongoClient, _ collection: String) throws(Failure) -> Failure {
    try checkEpoch(client)
    return Failure(
      .storeFailed,
      "\(collection) in MongoDB at \(client.address.hosts) has a document that was not expected; "
        + "it is read again.")
  }

  // MARK: - Plumbing

  /// Options of a query for the document with the highest `_id`.
  static var lastDocument: BSONDocument {
    BSONDocument().set("sort", BSONDocument().set("_id", -1)).set("limit", 1)
  }

  /// Runs work that writes or that needs the state.
  func perform<Value: Sendable>(
    _ work: @escaping @Sendable (MongoClient, inout State) throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    try await writer.perform { [self] client throws(Failure) in
      try state.withLock { state throws(Failure) in try work(client, &state) }
    }
  }

  func read<Value: Sendable>(
    _ work: @escaping @Sendable (MongoClient) throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    try await reader.perform(work)
  }
}
