import ClusterModel
import CommandLineCore

/// A `ProgressTree` on standard error, drawn again and again in the same place and gone at the end.
struct LiveProgress {
  private let began = ContinuousClock.now
  private var tree = ProgressTree(now: .zero)
  private var frame = TerminalFrame()
  /// The answer is being written to the same terminal, or to a pipe that may end there: nothing may
  /// move any more.
  private var isOver = false

  private var now: Instant { Instant(sinceStart: began.duration(to: .now)) }

  mutating func take(_ steps: [ProgressStep]) {
    for step in steps { tree.take(step, now: now) }
    redraw()
  }

  mutating func redraw() {
    guard !isOver, !tree.isEmpty else { return }
    let size = Terminal.size
    // One line less than there are, or the terminal would scroll and the first could not be taken
    // back.
    let lines = tree.lines(now: now, width: size.columns - 1, height: min(size.lines - 1, 40))
    Terminal.write(frame.draw(lines), to: 2)
  }

  /// Makes room for the answer where both may go to one terminal.
  mutating func yield() {
    guard Terminal.answerMayBeSeen, !isOver else { return }
    erase()
    isOver = true
  }

  mutating func erase() {
    let code = frame.erase()
    if !code.isEmpty { Terminal.write(code, to: 2) }
  }
}
