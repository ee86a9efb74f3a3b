/// What one chunk adds to the choices of an answer. Indices below 64 need no allocation.
public struct ChoiceSteps: Hashable, Sendable {
  /// One choice of index 64 or above.
  struct Step: Hashable, Sendable {
    var index: Int
    var says: Bool
    var ends: Bool
  }

  /// A bit per index: the choice is in the chunk, the chunk adds to it, the chunk ends it.
  private(set) var present: UInt64 = 0
  private(set) var saying: UInt64 = 0
  private(set) var ending: UInt64 = 0
  /// `nil` means that every index is below 64.
  private(set) var more: [Step]?
  /// An index is negative.
  private(set) var hasInvalidIndex = false

  public init() {}

  public mutating func add(index: Int, says: Bool, ends: Bool) {
    guard index >= 0 else {
      hasInvalidIndex = true
      return
    }
    guard index < 64 else {
      if more == nil { more = [] }
      more?.append(Step(index: index, says: says, ends: ends))
      return
    }
    let bit = UInt64(1) << UInt64(index)
    present |= bit
    if says { saying |= bit }
    if ends { ending |= bit }
  }

  /// How many choices end with the chunk.
  public var ended: Int {
    guard let more else { return ending.nonzeroBitCount }
    return ending.nonzeroBitCount + more.count { $0.ends }
  }

  /// The highest index; -1 if there is no choice.
  var highest: Int {
    let low = present == 0 ? -1 : 63 - present.leadingZeroBitCount
    guard let more else { return low }
    return more.reduce(low) { max($0, $1.index) }
  }
}

/// Which choices of an answer have begun and which have ended.
///
/// Completion is a property of each choice and not a count: hosts repeat a `finish_reason`, send it
/// early, or give fewer choices than the request asks for.
struct ChoiceProgress: Hashable, Sendable {
  private var begun: UInt64 = 0
  /// Ended, and nothing was added since.
  private var ended: UInt64 = 0
  /// Ended at some point. A host that sends `stop` with its reasoning and no reason later has still
  /// ended the choice when its stream ends properly.
  private var everEnded: UInt64 = 0
  /// The same of indices from 64 on, with the bits of `Mark`.
  private var more: [Int: UInt8] = [:]

  private enum Mark {
    static let ended: UInt8 = 1
    static let everEnded: UInt8 = 2
  }

  mutating func take(_ steps: ChoiceSteps) {
    begun |= steps.present
    ended = ended & ~steps.saying | steps.ending
    everEnded |= steps.ending
    guard let further = steps.more else { return }
    for step in further {
      var marks = more[step.index] ?? 0
      if step.says { marks &= ~Mark.ended }
      if step.ends { marks |= Mark.ended | Mark.everEnded }
      more[step.index] = marks
    }
  }

  /// Whether as many choices have ended as the request asks for: the host has nothing left to say.
  func isComplete(_ expected: Int) -> Bool {
    let low = ended.nonzeroBitCount
    guard low < expected, !more.isEmpty else { return low >= expected }
    return low + more.values.count { $0 & Mark.ended != 0 } >= expected
  }

  /// Whether every choice that has begun has ended. If the stream ends properly too, the answer is
  /// whole, even if it has fewer choices than the request asks for.
  var isEveryBegunEnded: Bool {
    guard begun != 0 || !more.isEmpty else { return false }
    return begun & ~everEnded == 0 && more.values.allSatisfy { $0 & Mark.everEnded != 0 }
  }
}
