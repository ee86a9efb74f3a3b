import Clocks
import ClusterModel
import CommandLineCore

/// Draws a `ProgressTree` on standard error, in place, and erases it at the end.
struct LiveProgress {
  private let clock = ProcessClock()
  private var tree = ProgressTree(now: .zero)
  private var frame = TerminalFrame()
  /// Whether redraws have ended. They end when the answer begins, unless the answer goes to a
  /// different place than the progress.
  private var isOver = false

  private var now: Instant { clock.now }

  mutating func take(_ steps: [ProgressStep]) {
    for step in steps { tree.take(step, now: now) }
    redraw()
  }

  mutating func redraw() {
    guard !isOver, !tree.isEmpty else { return }
    let size = Terminal.size
    // One line fewer than the terminal has. A full terminal would scroll, and the first line could
    // not be erased.
    let lines = tree.lines(now: now, width: size.columns - 1, height: min(size.lines - 1, 40))
    Terminal.write(frame.draw(lines), to: 2)
  }

  /// Erases the progress if the answer may go to the same terminal.
  mutating func yield() {
    guard Terminal.arrangement != .apart, !isOver else { return }
    erase()
    isOver = true
  }

  mutating func erase() {
    let code = frame.erase()
    if !code.isEmpty { Terminal.write(code, to: 2) }
  }
}
