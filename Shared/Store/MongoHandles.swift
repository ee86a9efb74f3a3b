internal import CMongoC
internal import ClusterModel

// Each handle of libmongoc has one owner. A handle leaves its owner's file only as an argument of a
// call, and is used only on a `MongoQueue`.

/// Calls `mongoc_init` once per process. `mongoc_cleanup` is never called, because `mongoc_init`
/// must not be called after it. The operating system releases everything when the process ends.
private let initialised: Void = {
  mongoc_init()
  // By default libmongoc logs to standard error. This is turned off, because relevant errors are
  // returned as a `Failure`.
  mongoc_log_set_handler(nil, nil)
}()

/// The address of a server or replica set. Owns its `mongoc_uri_t`.
///
/// @unchecked: the handle is set in `init`, and its options change only before other threads use
/// it.
@safe final class MongoAddress: @unchecked Sendable {
  fileprivate let handle: OpaquePointer
  let database: String
  /// Hosts as written in the address, without credentials, for error messages.
  let hosts: String
  /// Advice to an operator, for the error message if the server is away.
  let remedy: String

  /// - Parameters:
  ///   - text: `mongodb://…` or `mongodb+srv://…`. The database defaults to `tutti`.
  ///   - patience: timeout of server selection and of connecting, unless the address sets them.
  ///   - remedy: advice at the end of the error message if the server is away.
  init(_ text: String, patience: Duration, remedy: String) throws(Failure) {
    _ = initialised
    var error = bson_error_t()
    guard let handle = unsafe mongoc_uri_new_with_error(text, &error) else {
      // libmongoc's message is not used, because it may quote the address, which contains a
      // password.
      throw Failure(
        .storeMisconfigured,
        "The MongoDB address is not valid; write it as mongodb://HOST:PORT/DATABASE.")
    }
    unsafe self.handle = handle
    database = unsafe mongoc_uri_get_database(handle).map { unsafe String(cString: $0) } ?? "tutti"
    hosts = Self.withoutCredentials(text)
    self.remedy = remedy
    let milliseconds = Int32(clamping: patience.wholeMilliseconds)
    if unsafe !mongoc_uri_has_option(handle, CMONGO_SERVER_SELECTION_TIMEOUT) {
      unsafe mongoc_uri_set_option_as_int32(handle, CMONGO_SERVER_SELECTION_TIMEOUT, milliseconds)
    }
    if unsafe !mongoc_uri_has_option(handle, CMONGO_CONNECT_TIMEOUT) {
      unsafe mongoc_uri_set_option_as_int32(handle, CMONGO_CONNECT_TIMEOUT, milliseconds)
    }
    // If a server stops responding, libmongoc's default timeout of five minutes would block the
    // queue.
    if unsafe !mongoc_uri_has_option(handle, CMONGO_SOCKET_TIMEOUT) {
      unsafe mongoc_uri_set_option_as_int32(handle, CMONGO_SOCKET_TIMEOUT, 10_000)
    }
  }

  deinit { unsafe mongoc_uri_destroy(handle) }

  /// Makes writes succeed only after they are on the disks of a majority of the replica set. Makes
  /// reads return only data that a failover cannot undo.
  func requireMajority() {
    let write = unsafe mongoc_write_concern_new()
    defer { unsafe mongoc_write_concern_destroy(write) }
    unsafe mongoc_write_concern_set_wmajority(write, 10_000)
    unsafe mongoc_write_concern_set_journal(write, true)
    unsafe mongoc_uri_set_write_concern(handle, write)
    let read = unsafe mongoc_read_concern_new()
    defer { unsafe mongoc_read_concern_destroy(read) }
    unsafe mongoc_read_concern_set_level(read, "majority")
    unsafe mongoc_uri_set_read_concern(handle, read)
    let primary = unsafe mongoc_read_prefs_new(MONGOC_READ_PRIMARY)
    defer { unsafe mongoc_read_prefs_destroy(primary) }
    unsafe mongoc_uri_set_read_prefs_t(handle, primary)
  }

  private static func withoutCredentials(_ text: String) -> String {
    let rest = text.firstRange(of: "://").map { text[$0.upperBound...] } ?? text[...]
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    return String(authority.split(separator: "@").last ?? authority)
  }
}

/// Connection pool. It owns its `mongoc_client_pool_t`. Background threads of the pool monitor the
/// server, so that it is found again after a failure.
///
/// @unchecked: libmongoc's pool may be used from any thread.
@safe final class MongoPool: @unchecked Sendable {
  private let handle: OpaquePointer
  let address: MongoAddress

  init(_ address: MongoAddress) throws(Failure) {
    var error = bson_error_t()
    guard let handle = unsafe mongoc_client_pool_new_with_error(address.handle, &error) else {
      throw mongoFailure(&error, doing: "connecting", to: address)
    }
    unsafe self.handle = handle
    self.address = address
    unsafe mongoc_client_pool_set_error_api(handle, 2)
    unsafe mongoc_client_pool_set_appname(handle, "tutti")
    // Each pool serves one serial queue, so one connection suffices.
    unsafe mongoc_client_pool_max_size(handle, 1)
  }

  deinit { unsafe mongoc_client_pool_destroy(handle) }

  /// Borrows a client for the duration of `body`.
  func withClient<Value>(_ body: (MongoClient) throws(Failure) -> Value) throws(Failure) -> Value {
    let client = unsafe mongoc_client_pool_pop(handle)
    defer { unsafe mongoc_client_pool_push(handle, client) }
    return try unsafe body(MongoClient(borrowing: client!, address: address))
  }
}

/// A client borrowed from the pool.
@safe struct MongoClient {
  private let handle: OpaquePointer
  let address: MongoAddress

  fileprivate init(borrowing handle: OpaquePointer, address: MongoAddress) {
    unsafe self.handle = handle
    self.address = address
  }

  func ping() throws(Failure) {
    let command = BSONDocument().set("ping", 1)
    var error = bson_error_t()
    guard
      unsafe mongoc_client_command_simple(
        handle, address.database, command.handle, nil, nil, &error)
    else { throw mongoFailure(&error, doing: "ping", to: address) }
  }

  func collection(_ name: String) -> MongoCollection {
    unsafe MongoCollection(
      adopting: mongoc_client_get_collection(handle, address.database, name), name: name,
      address: address)
  }
}

/// A collection. Owns its `mongoc_collection_t` and must not outlive its client.
@safe final class MongoCollection {
  private let handle: OpaquePointer
  private let name: String
  private let address: MongoAddress

  fileprivate init(adopting handle: OpaquePointer, name: String, address: MongoAddress) {
    unsafe self.handle = handle
    self.name = name
    self.address = address
  }

  deinit { unsafe mongoc_collection_destroy(handle) }

  /// Runs a command on the collection's database.
  func run(_ command: BSONDocument, _ what: String) throws(Failure) {
    var error = bson_error_t()
    guard
      unsafe mongoc_collection_write_command_with_opts(
        handle, command.handle, nil, nil, &error)
    else { throw mongoFailure(&error, doing: "\(what) \(name)", to: address) }
  }

  /// Inserts documents in one bulk operation. A refused document does not stop the rest. A document
  /// is skipped if its `_id` exists, so that a partly failed insertion can be repeated.
  func insert(_ documents: [BSONDocument]) throws(Failure) {
    if documents.isEmpty { return }
    let options = BSONDocument().set("ordered", false)
    var error = bson_error_t()
    var handles: [OpaquePointer?] = unsafe documents.map { unsafe $0.handle }
    let done = withExtendedLifetime(documents) {
      unsafe handles.withUnsafeMutableBufferPointer { buffer in
        unsafe cmongo_insert_absent(
          handle, buffer.baseAddress, buffer.count, options.handle, &error)
      }
    }
    guard done else { throw mongoFailure(&error, doing: "insert into \(name)", to: address) }
  }

  /// The server's error code for a document whose `_id` already exists.
  private static let duplicateKey: UInt32 = 11_000

  /// Inserts a document.
  /// - Returns: `false` if another document has the same `_id`. Nothing is changed then.
  func insertNew(_ document: BSONDocument) throws(Failure) -> Bool {
    var error = bson_error_t()
    if unsafe mongoc_collection_insert_one(handle, document.handle, nil, nil, &error) {
      return true
    }
    if error.code == Self.duplicateKey { return false }
    throw mongoFailure(&error, doing: "insert into \(name)", to: address)
  }

  func delete(_ filter: BSONDocument) throws(Failure) {
    var error = bson_error_t()
    guard unsafe mongoc_collection_delete_many(handle, filter.handle, nil, nil, &error) else {
      throw mongoFailure(&error, doing: "delete from \(name)", to: address)
    }
  }

  /// Sets members of all documents that match the filter.
  func update(_ filter: BSONDocument, setting members: BSONDocument) throws(Failure) {
    let update = BSONDocument().set("$set", members)
    var error = bson_error_t()
    guard
      unsafe mongoc_collection_update_many(
        handle, filter.handle, update.handle, nil, nil, &error)
    else { throw mongoFailure(&error, doing: "update \(name)", to: address) }
  }

  /// - Parameters:
  ///   - options: `sort`, `limit`, `skip`.
  ///   - read: converts a document, which is valid only during the call. `nil` leaves the document
  ///     out.
  func find<Value>(
    _ filter: BSONDocument, options: BSONDocument, _ read: (BSONView) -> Value?
  ) throws(Failure) -> [Value] {
    try unsafe values(
      of: mongoc_collection_find_with_opts(handle, filter.handle, options.handle, nil),
      "find in \(name)", read)
  }

  /// - Parameter read: converts a document, which is valid only during the call. `nil` leaves the
  ///   document out.
  func aggregate<Value>(
    _ stages: [BSONDocument], _ read: (BSONView) -> Value?
  ) throws(Failure) -> [Value] {
    let pipeline = BSONDocument().set("pipeline", stages)
    return try unsafe values(
      of: mongoc_collection_aggregate(handle, MONGOC_QUERY_NONE, pipeline.handle, nil, nil),
      "aggregate \(name)", read)
  }

  /// - Parameter cursor: the function destroys it at the end.
  private func values<Value>(
    of cursor: OpaquePointer?, _ what: String, _ read: (BSONView) -> Value?
  ) throws(Failure) -> [Value] {
    defer { unsafe mongoc_cursor_destroy(cursor) }
    var values: [Value] = []
    var document: OpaquePointer?
    while unsafe mongoc_cursor_next(cursor, &document) {
      if let document = unsafe document, let value = unsafe read(BSONView(borrowing: document)) {
        values.append(value)
      }
    }
    var error = bson_error_t()
    if unsafe mongoc_cursor_error(cursor, &error) {
      throw mongoFailure(&error, doing: what, to: address)
    }
    return values
  }
}

/// The server's error codes of a failover, of a shutdown, and of a majority that does not respond.
/// A write that ends with one of these codes may have been made.
private let failoverCodes: Set<UInt32> = [64, 91, 189, 10_107, 11_600, 11_602, 13_435, 13_436]

private let outOfDiskSpace: UInt32 = 14_031

private func mongoFailure(
  _ error: inout bson_error_t, doing what: String, to address: MongoAddress
) -> Failure {
  let message = unsafe String(cString: cmongo_message(&error))
  if unsafe cmongo_is_unreachable(&error) {
    return Failure(
      .storeUnreachable,
      "MongoDB at \(address.hosts) cannot be reached (\(message)); start it, or "
        + "\(address.remedy).")
  }
  if failoverCodes.contains(error.code) {
    return Failure(
      .storeUnreachable,
      "MongoDB at \(address.hosts) has no primary or no majority (\(message)); check its replica "
        + "set.")
  }
  if error.code == outOfDiskSpace {
    return Failure(
      .storeFull, "The disk of MongoDB at \(address.hosts) is full (\(message)); make room on it.")
  }
  return Failure(.storeFailed, "MongoDB at \(address.hosts) refused (\(what)): \(message)")
}
