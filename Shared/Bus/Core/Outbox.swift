/// Frames that wait for one mailbox, in three lanes. Each lane is FIFO; a lane is sent completely
/// before the lanes of lower priority.
public struct Outbox: Sendable {
  private struct Queue: Sendable {
    var frames: [[UInt8]] = []
    var head = 0
    var bytes = 0
  }

  /// Minimum number of removed frames before a queue is compacted.
  private static let tidyAfter = 256

  private var queues = [Queue(), Queue(), Queue()]
  private let laneBytes: Int

  /// - Parameter laneBytes: capacity of each lane in bytes. A mailbox that reads nothing costs at
  ///   most three times this.
  public init(laneBytes: Int) { self.laneBytes = laneBytes }

  public var isEmpty: Bool { queues.allSatisfy { $0.head == $0.frames.count } }
  public var bytes: Int { queues.reduce(0) { $0 + $1.bytes } }

  /// - Returns: `false` if the lane is full and the frame was not queued.
  public mutating func push(_ frame: [UInt8], _ lane: Lane) -> Bool {
    let index = lane.priority
    guard queues[index].bytes + frame.count <= laneBytes else { return false }
    queues[index].frames.append(frame)
    queues[index].bytes += frame.count
    return true
  }

  public mutating func pop() -> [UInt8]? {
    for index in queues.indices where queues[index].head < queues[index].frames.count {
      let head = queues[index].head
      // Swap the frame out, so that its memory is freed before the queue is compacted.
      var frame: [UInt8] = []
      swap(&frame, &queues[index].frames[head])
      queues[index].head += 1
      queues[index].bytes -= frame.count
      if queues[index].head == queues[index].frames.count {
        queues[index].frames.removeAll(keepingCapacity: true)
        queues[index].head = 0
      } else if queues[index].head >= Self.tidyAfter,
        queues[index].head * 2 >= queues[index].frames.count
      {
        queues[index].frames.removeFirst(queues[index].head)
        queues[index].head = 0
      }
      return frame
    }
    return nil
  }
}

extension Lane {
  fileprivate var priority: Int {
    switch self {
    case .control: 0
    case .data: 1
    case .telemetry: 2
    }
  }
}
