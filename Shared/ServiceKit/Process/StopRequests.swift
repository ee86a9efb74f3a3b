import ClusterModel
import Foundation
import Telemetry
import UnixSignals

/// The reason for a requested stop.
enum StopRequest: Hashable, Sendable, CustomStringConvertible {
  case signal(String)
  /// The parent process has ended.
  case lifeline

  var description: String {
    switch self {
    case .signal(let name): name
    case .lifeline: "the lifeline ended"
    }
  }
}

/// Collects requests to stop the process.
struct StopRequests: Sendable {
  let requests: AsyncStream<StopRequest>
  private let continuation: AsyncStream<StopRequest>.Continuation

  init() {
    // At most two requests have an effect. The first begins the drain, and a later signal ends the
    // process immediately.
    (requests, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(4))
  }

  /// Forwards signals; returns only if cancelled.
  func watchSignals() async {
    for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
      continuation.yield(.signal(signal == .sigint ? "SIGINT" : "SIGTERM"))
    }
  }

  /// Reads the lifeline until its end, on a dedicated thread, because a blocking read must not
  /// occupy one of the few cooperative threads. The thread ends with the process.
  func watchLifeline(_ descriptor: Int32) {
    let continuation = continuation
    Thread.detachNewThread {
      // The parent process passed this descriptor; no other code in this process uses it.
      let lifeline = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
      while let bytes = try? lifeline.read(upToCount: 64), !bytes.isEmpty {}
      continuation.yield(.lifeline)
    }
  }
}

/// Ends the process if its drain takes too long. A dedicated thread waits, so that no other work
/// can delay it.
enum LastResort {
  static func arm(after time: Duration) {
    let seconds =
      Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
    Thread.detachNewThread {
      Thread.sleep(forTimeInterval: seconds)
      end("The drain took longer than allowed: ending now.")
    }
  }

  static func end(_ sentence: String) -> Never {
    StandardError.write(sentence + "\n")
    _exit(ExitStatus.failed.rawValue)
  }
}
