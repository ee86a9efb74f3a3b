/// What the line being written looks like so far: enough to know code from text.
struct NormalisedLine: Sendable {
  struct Fence: Hashable, Sendable {
    var byte: UInt8
    var length: Int
  }

  /// Something other than white space was written.
  private(set) var hasContent = false
  /// The run of backticks or tildes that it begins with.
  private(set) var fence: Fence?
  private var fenceHasEnded = false
  private(set) var hasContentAfterFence = false
  private var hasBacktickAfterFence = false
  private var currentRun = 0
  private var openRun: Int?
  /// What looked like the beginning of quoted code on this line turned out to be none.
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

  /// Length of the run of backticks after which code may have begun.
  var quoteLength: Int? { hasNoQuotes ? nil : openRun }

  /// The fence that this line opens.
  var opening: Fence? {
    guard let fence, fence.length >= 3 else { return nil }
    return fence.byte == UInt8(ascii: "`") && hasBacktickAfterFence ? nil : fence
  }

  /// Whether the line, as far as it goes, closes that fence.
  func closes(_ open: Fence) -> Bool {
    guard let fence, fence.byte == open.byte else { return false }
    return fence.length >= open.length && !hasContentAfterFence
  }
}
