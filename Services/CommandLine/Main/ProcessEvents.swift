@unsafe @preconcurrency import Dispatch
import Foundation

/// SIGINT, SIGTERM, the death of children and the end of our own lifeline, as calls of closures.
/// It owns its dispatch sources, which are not Sendable on Linux: one owner, one file.
///
/// @unchecked: `sources` is set once in `init` and only read in `deinit`.
final class ProcessEvents: @unchecked Sendable {
  private let sources: [any DispatchSourceProtocol]

  /// - Parameters:
  ///   - lifeline: descriptor of our own lifeline; nil: none.
  ///   - onSignal: SIGINT or SIGTERM came.
  ///   - onChild: some child ended.
  ///   - onLifelineEnd: whoever started us is gone.
  init(
    lifeline: Int32?, onSignal: @escaping @Sendable () -> Void,
    onChild: @escaping @Sendable () -> Void, onLifelineEnd: @escaping @Sendable () -> Void
  ) {
    let queue = DispatchQueue(label: "tutti.process-events")
    var sources: [any DispatchSourceProtocol] = []
    for number in [SIGINT, SIGTERM] {
      // Else the default action ends us before the source hears of it.
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
        // Nobody writes to it; a byte would only wake us again.
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
