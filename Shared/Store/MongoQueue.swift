internal import ClusterModel
internal import Dispatch
internal import Synchronization

/// Runs calls of libmongoc one after another. The calls block, so they run on a dedicated queue. A
/// slow server therefore delays the store, but no cooperative thread of Swift.
final class MongoQueue: Sendable {
  private let pool: MongoPool
  private let queue = DispatchQueue(label: "tutti.store.mongodb")
  private let waiting = Mutex(0)

  /// Maximum queued operations: writes, retention and a few queries of an operator. More operations
  /// would only time out if the server is slow.
  private static let maximumWaiting = 64

  init(_ address: MongoAddress) throws(Failure) { pool = try MongoPool(address) }

  func perform<Value: Sendable>(
    _ work: @escaping @Sendable (MongoClient) throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let admitted = waiting.withLock { count in
      guard count < Self.maximumWaiting else { return false }
      count += 1
      return true
    }
    guard admitted else {
      throw Failure(
        .overloaded, "\(Self.maximumWaiting) operations wait for MongoDB; try again later.",
        retryAfter: .seconds(2))
    }
    let outcome: Result<Value, Failure> = await withCheckedContinuation { continuation in
      queue.async { [self] in
        let outcome: Result<Value, Failure>
        do throws(Failure) {
          outcome = .success(try pool.withClient(work))
        } catch {
          outcome = .failure(error)
        }
        waiting.withLock { $0 -= 1 }
        continuation.resume(returning: outcome)
      }
    }
    return try outcome.get()
  }
}
