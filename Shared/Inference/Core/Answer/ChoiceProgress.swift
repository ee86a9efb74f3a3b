/// Changes that one chunk makes to the choices of an answer.
///
/// Choices with an index below 64 need no allocation.
struct ChoiceSteps: Hashable, Sendable {
  /// Changes that one chunk makes to one choice.
  struct Gain: Hashable, Sendable {
    /// Whether the chunk adds anything to the choice.
    var adds = false
    /// Whether the chunk adds more than reasoning, such as text, a tool call or a refusal.
    var answers = false
    /// Whether the chunk has a `finish_reason`.
    var ends = false
    /// Whether the `finish_reason` is not `stop`. Some hosts send `stop` after the reasoning,
    /// before the text.
    var isFirm = false

    init(
      adds: Bool = false, answers: Bool = false, ends: Bool = false, isFirm: Bool = false
    ) {
      self.adds = adds
      self.answers = answers
      self.ends = ends
      self.isFirm = isFirm
    }
  }

  /// A choice with an index of 64 or above.
  struct Step: Hashable, Sendable {
    var index: Int
    var gain: Gain
  }

  /// Choices in the chunk, one bit per index below 64. Each of the next four properties has the
  /// bits of one property of `Gain`.
  private(set) var present: UInt64 = 0
  private(set) var adding: UInt64 = 0
  private(set) var answering: UInt64 = 0
  private(set) var ending: UInt64 = 0
  private(set) var firm: UInt64 = 0
  /// Choices with an index of 64 or above. `nil` means that there are none.
  private(set) var more: [Step]?
  /// Whether an index is negative.
  private(set) var hasInvalidIndex = false

  mutating func add(index: Int, _ gain: Gain) {
    guard index >= 0 else {
      hasInvalidIndex = true
      return
    }
    guard index < 64 else {
      if more == nil { more = [] }
      more?.append(Step(index: index, gain: gain))
      return
    }
    let bit = UInt64(1) << UInt64(index)
    present |= bit
    if gain.adds { adding |= bit }
    if gain.answers { answering |= bit }
    if gain.ends { ending |= bit }
    if gain.isFirm { firm |= bit }
  }

  /// Number of choices that end with the chunk.
  var ended: Int {
    guard let more else { return ending.nonzeroBitCount }
    return ending.nonzeroBitCount + more.count { $0.gain.ends }
  }

  /// The highest index, or -1 if there is no choice.
  var highest: Int {
    let low = present == 0 ? -1 : 63 - present.leadingZeroBitCount
    guard let more else { return low }
    return more.reduce(low) { max($0, $1.index) }
  }
}

/// Tracks which choices of an answer have begun and which have ended.
///
/// Completion is a property of each choice. Finish reasons cannot simply be counted: hosts repeat a
/// `finish_reason`, send it early or with every chunk, or return fewer choices than requested. The
/// first end of a choice is final if nothing was added after it. Exception: a `stop` of a choice
/// that has only reasoning is not final. An end that is not final counts only if nothing is added
/// after it and the stream ends properly.
struct ChoiceProgress: Hashable, Sendable {
  private var begun: UInt64 = 0
  private var filled: UInt64 = 0
  private var answered: UInt64 = 0
  /// Choices that have ended and have gained nothing since.
  private var ended: UInt64 = 0
  /// Choices whose last end was firm (`Gain.isFirm`).
  private var firm: UInt64 = 0
  /// Choices that gained more after an end. No later end of such a choice is final.
  private var revived: UInt64 = 0
  /// State of the choices with an index of 64 or above.
  private var more: [Int: Choice] = [:]

  private struct Choice: Hashable, Sendable {
    var hasContent = false
    var hasAnswered = false
    var hasEnded = false
    var isFirm = false
    var isRevived = false

    mutating func take(_ gain: ChoiceSteps.Gain) {
      if gain.adds, hasEnded { isRevived = true }
      hasContent = hasContent || gain.adds
      hasAnswered = hasAnswered || gain.answers
      hasEnded = hasEnded && !gain.adds || gain.ends
      if gain.ends { isFirm = gain.isFirm }
    }

    var isFinal: Bool { hasEnded && !isRevived && (hasAnswered || isFirm || !hasContent) }
  }

  mutating func take(_ steps: ChoiceSteps) {
    begun |= steps.present
    revived |= ended & steps.adding
    filled |= steps.adding
    answered |= steps.answering
    ended = ended & ~steps.adding | steps.ending
    firm = firm & ~steps.ending | steps.firm
    guard let further = steps.more else { return }
    for step in further { more[step.index, default: Choice()].take(step.gain) }
  }

  /// Choices with an index below 64 whose end is final.
  private var final: UInt64 { ended & ~revived & (answered | firm | ~filled) }

  /// Whether at least as many choices as requested have a final end. The host then has only the
  /// usage and the end of the stream left to send.
  func isComplete(_ expected: Int) -> Bool {
    let low = final.nonzeroBitCount
    guard low < expected, !more.isEmpty else { return low >= expected }
    return low + more.values.count { $0.isFinal } >= expected
  }

  /// Whether every choice that has begun has a final end. If the host then sends nothing more, the
  /// answer is complete, even with fewer choices than requested.
  var isEveryBegunFinal: Bool {
    guard hasBegun else { return false }
    return begun & ~final == 0 && more.values.allSatisfy { $0.isFinal }
  }

  /// Whether every choice that has begun has ended. If the stream also ends properly, the answer is
  /// complete.
  var isEveryBegunEnded: Bool {
    guard hasBegun else { return false }
    return begun & ~ended == 0 && more.values.allSatisfy { $0.hasEnded }
  }

  private var hasBegun: Bool { begun != 0 || !more.isEmpty }
}
