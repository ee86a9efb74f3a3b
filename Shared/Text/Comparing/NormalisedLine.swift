/// State of the line that is being written. It distinguishes code from text.
struct NormalisedLine: Sendable {
  struct Fence: Hashable, Sendable {
    var byte: UInt8
    var length: Int
  }

  /// Whether the line has a byte that is not white space.
  private(set) var hasContent = false
  /// The run of backticks or tildes at the beginning of the line.
  private(set) var fence: Fence?
  private var fenceHasEnded = false
  private(set) var hasContentAfterFence = false
  private var hasBacktickAfterFence = false
  private var currentRun = 0
  private var openRun: Int?
  /// Whether a run of backticks on this line turned out not to begin quoted code.
  var hasNoQuotes = false

  mutating func write(_ byte: UInt8) {
    let isBacktick = byte == UInt8(ascii: "`")
    if !hasContent {
      hasContent = true
      if isBacktick || byte == UInt8(ascii: "~") { fence = Fence(byte: byte, length: 0) }
    }
    if let started = fence {
      if byte == started.byte, !fenceHasEnded {
        fence = Fence(byte: byte, length: started.length + 1)
      } else {
        fenceHasEnded = true
        hasContentAfterFence = true
        hasBacktickAfterFence = hasBacktickAfterFence || isBacktick
      }
    }
    if isBacktick { currentRun += 1 } else { endRun() }
  }

  mutating func writeSpace() {
    fenceHasEnded = fence != nil
    endRun()
  }

  mutating func endRun() {
    guard currentRun > 0 else { return }
    if openRun == nil {
      openRun = currentRun
    } else if openRun == currentRun {
      openRun = nil
    }
    currentRun = 0
  }

  /// Length of the run of backticks that may have opened quoted code. `nil` means that no run is
  /// open.
  var quoteLength: Int? { hasNoQuotes ? nil : openRun }

  /// The fence that this line opens. `nil` means that it opens none.
  var opening: Fence? {
    guard let fence, fence.length >= 3 else { return nil }
    return fence.byte == UInt8(ascii: "`") && hasBacktickAfterFence ? nil : fence
  }

  /// Whether the line so far closes the open fence.
  func closes(_ open: Fence) -> Bool {
    guard let fence, fence.byte == open.byte else { return false }
    return fence.length >= open.length && !hasContentAfterFence
  }
}
