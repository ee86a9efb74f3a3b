import Foundation
import Telemetry
import UnixSignals

/// Why the process should stop.
enum StopRequest: Hashable, Sendable, CustomStringConvertible {
  case signal(String)
  /// Whoever started us is gone.
  case lifeline

  var description: String {
    switch self {
    case .signal(let name): name
    case .lifeline: "the lifeline ended"
    }
  }
}

/// Waits for all that can tell the process to stop.
struct StopRequests: Sendable {
  let requests: AsyncStream<StopRequest>
  private let continuation: AsyncStream<StopRequest>.Continuation

  init() {
    // The first two count: one to drain, one to stop waiting.
    (requests, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(4))
  }

  /// Never returns unless it is cancelled.
  func watchSignals() async {
    for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
      continuation.yield(.signal(signal == .sigint ? "SIGINT" : "SIGTERM"))
    }
  }

  /// Reads the lifeline until its end, on a thread of its own: a blocking read must not hold one of
  /// the few threads that everything else runs on. The thread ends with the process.
  func watchLifeline(_ descriptor: Int32) {
    let continuation = continuation
    Thread.detachNewThread {
      // Taken over from whoever started us; nothing else in this process uses it.
      let lifeline = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
      while let bytes = try? lifeline.read(upToCount: 64), !bytes.isEmpty {}
      continuation.yield(.lifeline)
    }
  }
}

/// Ends the process when its drain takes too long. A thread of its own waits, so that nothing the
/// process does can hold it up.
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
    _exit(ExitCode.failed.rawValue)
  }
}
