import Clocks
import CommandLineCore
@unsafe @preconcurrency import Dispatch
import Foundation
import Synchronization

/// The lines that the user of `tutti chat` types, and Ctrl-C.
///
/// @unchecked: `source` is set once in `init` and only read in `deinit`.
final class ChatTerminal: @unchecked Sendable {
  /// Passes each Ctrl-C to the part of the chat that runs now.
  private final class Interrupts: Sendable {
    private let listener = Mutex<AsyncStream<Void>.Continuation?>(nil)

    func send() { _ = listener.withLock { $0 }?.yield() }

    /// Each Ctrl-C from now on. The listener before gets no more.
    func listen() -> AsyncStream<Void> {
      let (stream, continuation) = AsyncStream<Void>.makeStream()
      listener.withLock { $0 = continuation }
      return stream
    }
  }

  /// Whether a person types. Otherwise each line of a file or a pipe is one input, and Ctrl-C ends
  /// the command.
  let isInteractive: Bool
  private let interrupts: Interrupts
  private let source: (any DispatchSourceProtocol)?

  init() {
    let interrupts = Interrupts()
    self.interrupts = interrupts
    let isTerminal = isatty(0) == 1 && isatty(2) == 1
    isInteractive = isTerminal
    guard isTerminal else {
      source = nil
      return
    }
    // The default action would end the process before the source gets the signal.
    signal(SIGINT, SIG_IGN)
    let signals = DispatchSource.makeSignalSource(
      signal: SIGINT, queue: DispatchQueue(label: "tutti.chat-interrupts"))
    signals.setEventHandler { @Sendable in interrupts.send() }
    source = signals
    signals.resume()
  }

  deinit { source?.cancel() }

  /// Reads the next line. `nil` means the end of the input.
  ///
  /// Ctrl-C discards what was typed; twice within 2 s, it ends the command with status 0, because
  /// nothing can end the reading of a line.
  func line(prompt: String) async -> String? {
    guard isInteractive else { return await Self.readLine() }
    // Before the prompt, so that a Ctrl-C directly after it is not lost.
    let presses = interrupts.listen()
    Terminal.write(prompt, to: 2)
    return await withTaskGroup(of: Void.self) { group in
      group.addTask {
        let clock = ProcessClock()
        var counted = ChatInterrupts()
        for await _ in presses {
          if counted.press(now: clock.now) {
            Terminal.write("\n", to: 2)
            // Not `exit`, which may wait for the thread that reads standard input.
            _exit(0)
          }
          Terminal.write("\n(Ctrl-C once more, or Ctrl-D, ends the chat)\n\(prompt)", to: 2)
        }
      }
      let line = await Self.readLine()
      group.cancelAll()
      return line
    }
  }

  private static func readLine() async -> String? {
    await withCheckedContinuation { answered in
      // Reading blocks, so it runs on a Dispatch thread and not on a thread that Swift tasks share.
      DispatchQueue.global().async { answered.resume(returning: Swift.readLine()) }
    }
  }

  /// Runs the work, and cancels it at Ctrl-C.
  ///
  /// - Returns: the result of the work, also after its cancellation.
  func interruptible<Value: Sendable>(
    _ work: @escaping @Sendable () async -> Value
  ) async -> Value? {
    guard isInteractive else { return await work() }
    let presses = interrupts.listen()
    return await withTaskGroup(of: Value?.self) { group in
      group.addTask { await work() }
      group.addTask {
        for await _ in presses { break }
        return nil
      }
      var result: Value?
      // The first of the two ends the other one.
      while let ended = await group.next() {
        group.cancelAll()
        if let ended { result = ended }
      }
      return result
    }
  }
}
