public import ClusterModel
import Limits

/// Queue of telemetry to be written, oldest first. If it is full, the oldest records are dropped,
/// because the newest are the most useful for finding a current problem.
public struct PendingTelemetry: Sendable {
  /// Maximum records. They take 15 MB at some 300 bytes each, and hold a minute of a busy cluster's
  /// telemetry while the store is unreachable.
  public static let standardCapacity = 50_000

  public static let standardBytes = Limits.pendingTelemetryBytes.value

  let capacity: Int
  let byteCapacity: Int
  /// Number of queued logs, spans and requests.
  public private(set) var records = 0
  /// Estimated bytes of memory of the queued records.
  public private(set) var bytes = 0
  private var batches: [TelemetryBatch] = []

  public init(
    capacity: Int = Self.standardCapacity, bytes: Int = Self.standardBytes
  ) {
    self.capacity = capacity
    byteCapacity = bytes
  }

  public var isEmpty: Bool { batches.isEmpty }

  /// - Parameter batch: records to add. Its metrics are discarded.
  /// - Returns: the number of older records that were dropped to make room.
  public mutating func append(_ batch: TelemetryBatch) -> Int {
    guard batch.records > 0 else { return 0 }
    var batch = batch
    batch.metrics = []
    batches.append(batch)
    records += batch.records
    bytes = bytes.addingCapped(batch.bytes)
    return makeRoom()
  }

  /// Takes the oldest batches: at most `limit` records, but at least one batch.
  public mutating func take(atMost limit: Int) -> [TelemetryBatch] {
    var count = 0
    var taken = 0
    for batch in batches {
      guard count == 0 || taken + batch.records <= limit else { break }
      count += 1
      taken += batch.records
    }
    let oldest = Array(batches.prefix(count))
    batches.removeFirst(count)
    records -= taken
    bytes -= oldest.reduce(0) { $0 + $1.bytes }
    return oldest
  }

  /// Returns unwritten batches to the front of the queue.
  /// - Returns: the number of records that were dropped to make room.
  public mutating func putBack(_ taken: [TelemetryBatch]) -> Int {
    batches.insert(contentsOf: taken, at: 0)
    records += taken.reduce(0) { $0 + $1.records }
    bytes += taken.reduce(0) { $0 + $1.bytes }
    return makeRoom()
  }

  private mutating func makeRoom() -> Int {
    var dropped = 0
    var surplus = 0
    // One batch always stays, whatever its size. A single bus message carried it, so its size is
    // bounded.
    while records - dropped > capacity || bytes > byteCapacity, surplus < batches.count - 1 {
      dropped += batches[surplus].records
      bytes -= batches[surplus].bytes
      surplus += 1
    }
    batches.removeFirst(surplus)
    records -= dropped
    return dropped
  }
}

extension TelemetryBatch {
  /// Number of logs, spans and requests.
  public var records: Int { logs.count + spans.count + requests.count }
}
