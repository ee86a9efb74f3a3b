@unsafe @preconcurrency import Dispatch
import Foundation

/// Calls closures on SIGINT, SIGTERM, a child's end and the end of this process's lifeline.
/// It owns its dispatch sources, which are not Sendable on Linux.
///
/// @unchecked: `sources` is set once in `init` and only read in `deinit`.
final class ProcessEvents: @unchecked Sendable {
  private let sources: [any DispatchSourceProtocol]

  /// - Parameters:
  ///   - lifeline: descriptor of this process's lifeline. `nil` means that it has none.
  ///   - onSignal: called on SIGINT or SIGTERM.
  ///   - onChild: called when a child has ended.
  ///   - onLifelineEnd: called when the parent process is gone.
  init(
    lifeline: Int32?, onSignal: @escaping @Sendable () -> Void,
    onChild: @escaping @Sendable () -> Void, onLifelineEnd: @escaping @Sendable () -> Void
  ) {
    let queue = DispatchQueue(label: "tutti.process-events")
    var sources: [any DispatchSourceProtocol] = []
    for number in [SIGINT, SIGTERM] {
      // The default action would end the process before the source gets the signal.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { @Sendable in onSignal() }
      sources.append(source)
    }
    let children = DispatchSource.makeSignalSource(signal: SIGCHLD, queue: queue)
    children.setEventHandler { @Sendable in onChild() }
    sources.append(children)
    if let lifeline {
      let source = DispatchSource.makeReadSource(fileDescriptor: lifeline, queue: queue)
      source.setEventHandler { @Sendable in
        var byte: UInt8 = 0
        // No process writes to the lifeline. An unread byte would only wake the source again.
        if unsafe read(lifeline, &byte, 1) <= 0 {
          source.cancel()
          onLifelineEnd()
        }
      }
      sources.append(source)
    }
    self.sources = sources
    for source in sources { source.resume() }
  }

  deinit {
    for source in sources { source.cancel() }
  }
}
