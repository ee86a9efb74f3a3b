public import ClusterModel
import Limits

/// What waits to be written, oldest first. When there is too much the oldest goes: the newest are
/// worth most to whoever looks for what goes wrong now.
public struct PendingTelemetry: Sendable {
  /// Some 300 bytes each: 15 MB, or a minute of a busy cluster while the store is away.
  public static let standardCapacity = 50_000

  public static let standardBytes = Limits.pendingTelemetryBytes.value

  public let capacity: Int
  let byteCapacity: Int
  /// Logs, spans and requests that wait.
  public private(set) var records = 0
  /// Estimate of the memory that they take.
  public private(set) var bytes = 0
  private var batches: [TelemetryBatch] = []

  public init(
    capacity: Int = Self.standardCapacity, bytes: Int = Self.standardBytes
  ) {
    self.capacity = capacity
    byteCapacity = bytes
  }

  public var isEmpty: Bool { batches.isEmpty }

  /// - Parameter batch: its metrics are not kept.
  /// - Returns: how many older records were dropped to make room.
  public mutating func append(_ batch: TelemetryBatch) -> Int {
    guard batch.records > 0 else { return 0 }
    var batch = batch
    batch.metrics = []
    batches.append(batch)
    records += batch.records
    bytes = bytes.addingCapped(batch.bytes)
    return makeRoom()
  }

  /// Takes the oldest batches: as many as stay within `limit` records, and one at least.
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

  /// Puts back what could not be written, before everything that came since.
  /// - Returns: how many records were dropped to make room.
  public mutating func putBack(_ taken: [TelemetryBatch]) -> Int {
    batches.insert(contentsOf: taken, at: 0)
    records += taken.reduce(0) { $0 + $1.records }
    bytes += taken.reduce(0) { $0 + $1.bytes }
    return makeRoom()
  }

  private mutating func makeRoom() -> Int {
    var dropped = 0
    var surplus = 0
    // One batch always stays, however large: it came in one message, so it has a limit of its own.
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
  /// How many logs, spans and requests it holds.
  public var records: Int { logs.count + spans.count + requests.count }
}
