import CProtobufC
import ClusterModel
import ClusterProto
import Limits

extension Arena {
  func choiceFacts(_ facts: ChoiceFacts) -> UnsafeMutablePointer<Tutti__V1__ChoiceFacts> {
    let message = unsafe make(tutti__v1__choice_facts__init)
    unsafe message.pointee.kind = text(facts.kind.rawValue)
    unsafe message.pointee.basis = text(facts.basis.rawValue)
    unsafe message.pointee.confidence_milli = plusOne(facts.confidenceMilli)
    unsafe message.pointee.anchor = text(facts.anchor?.name ?? "")
    unsafe message.pointee.is_early = facts.isEarly ? 1 : 0
    unsafe message.pointee.n_drafts = facts.drafts.count
    unsafe message.pointee.drafts = array(facts.drafts) { unsafe choiceDraft($0) }
    return unsafe message
  }

  private func choiceDraft(
    _ draft: ChoiceFacts.Draft
  ) -> UnsafeMutablePointer<Tutti__V1__ChoiceDraft>? {
    let message = unsafe make(tutti__v1__choice_draft__init)
    unsafe message.pointee.task = text(draft.task.name)
    unsafe message.pointee.model = text(draft.model.name)
    unsafe message.pointee.outcome = text(draft.outcome.rawValue)
    unsafe message.pointee.support_milli = UInt32(clamping: draft.supportMilli)
    unsafe message.pointee.completion_tokens = UInt64(clamping: draft.completionTokens)
    unsafe message.pointee.reason = text(draft.reason)
    return unsafe message
  }

  func modelSkill(_ skill: ModelSkill) -> UnsafeMutablePointer<Tutti__V1__ModelSkill>? {
    let message = unsafe make(tutti__v1__model_skill__init)
    unsafe message.pointee.model = text(skill.model.name)
    unsafe message.pointee.kind = text(skill.kind.rawValue)
    unsafe message.pointee.drafted_milli = UInt64(clamping: skill.draftedMilli)
    unsafe message.pointee.chosen_milli = UInt64(clamping: skill.chosenMilli)
    unsafe message.pointee.agreed_milli = UInt64(clamping: skill.agreedMilli)
    unsafe message.pointee.repaired_milli = UInt64(clamping: skill.repairedMilli)
    unsafe message.pointee.rejected_milli = UInt64(clamping: skill.rejectedMilli)
    return unsafe message
  }

  func patternGain(_ gain: PatternGain) -> UnsafeMutablePointer<Tutti__V1__PatternGain>? {
    let message = unsafe make(tutti__v1__pattern_gain__init)
    unsafe message.pointee.pattern = text(gain.pattern)
    unsafe message.pointee.model = text(gain.model.name)
    unsafe message.pointee.kind = text(gain.kind.rawValue)
    unsafe message.pointee.choices_milli = UInt64(clamping: gain.choicesMilli)
    unsafe message.pointee.gain_sum = Int64(gain.gainSum)
    unsafe message.pointee.gain_squares = UInt64(clamping: gain.gainSquares)
    unsafe message.pointee.extra_tokens = UInt64(clamping: gain.extraTokens)
    return unsafe message
  }

  func skillReport(_ report: SkillReport) -> UnsafeMutablePointer<Tutti__V1__SkillReport> {
    let message = unsafe make(tutti__v1__skill_report__init)
    unsafe message.pointee.pattern = text(report.pattern)
    unsafe message.pointee.choice = choiceFacts(report.choice)
    return unsafe message
  }

  func skillTable(_ table: SkillTable) -> UnsafeMutablePointer<Tutti__V1__SkillTable> {
    let message = unsafe make(tutti__v1__skill_table__init)
    unsafe message.pointee.epoch = table.epoch
    unsafe message.pointee.revision = table.revision
    unsafe message.pointee.n_skills = table.skills.count
    unsafe message.pointee.skills = array(table.skills) { unsafe modelSkill($0) }
    unsafe message.pointee.n_gains = table.gains.count
    unsafe message.pointee.gains = array(table.gains) { unsafe patternGain($0) }
    return unsafe message
  }

  /// Encodes `nil` as 0, because 0 is a value.
  func plusOne(_ value: Int?) -> UInt32 {
    value.map { UInt32(clamping: min(max(0, $0), 1_000_000) + 1) } ?? 0
  }
}

extension ChoiceFacts {
  init(wire message: Tutti__V1__ChoiceFacts) throws(WireError) {
    let count = unsafe message.n_drafts
    guard count <= Limits.planInputs.value else {
      throw .tooManyElements(limit: Limits.planInputs.value)
    }
    let anchor = try unsafe String(wire: message.anchor, "ChoiceFacts.anchor")
    let confidence = Int(unsafe message.confidence_milli)
    self.init(
      kind: try unsafe AnswerKind(wire: message.kind, "ChoiceFacts.kind"),
      basis: try unsafe Basis(wire: message.basis, "ChoiceFacts.basis"),
      confidenceMilli: confidence == 0 ? nil : min(confidence - 1, 1_000),
      anchor: anchor.isEmpty ? nil : TaskID(anchor), isEarly: unsafe message.is_early != 0,
      drafts: try unsafe elements(count, message.drafts) { draft throws(WireError) in
        try unsafe Draft(wire: draft)
      })
  }
}

extension ChoiceFacts.Draft {
  fileprivate init(wire message: Tutti__V1__ChoiceDraft) throws(WireError) {
    self.init(
      task: TaskID(try unsafe String(wire: message.task, "ChoiceDraft.task")),
      model: ModelID(try unsafe String(wire: message.model, "ChoiceDraft.model")),
      outcome: try unsafe ChoiceFacts.Outcome(wire: message.outcome, "ChoiceDraft.outcome"),
      // The support of a closed answer is a sum of weights of at most 1,000.
      supportMilli: min(
        Int(unsafe message.support_milli), 1_000 * Limits.planInputs.value),
      completionTokens: bounded(unsafe message.completion_tokens),
      reason: try unsafe String(wire: message.reason, "ChoiceDraft.reason"))
  }
}

extension ModelSkill {
  init(wire message: Tutti__V1__ModelSkill) throws(WireError) {
    self.init(
      model: ModelID(try unsafe String(wire: message.model, "ModelSkill.model")),
      kind: try unsafe AnswerKind(wire: message.kind, "ModelSkill.kind"),
      draftedMilli: bounded(unsafe message.drafted_milli),
      chosenMilli: bounded(unsafe message.chosen_milli),
      agreedMilli: bounded(unsafe message.agreed_milli),
      repairedMilli: bounded(unsafe message.repaired_milli),
      rejectedMilli: bounded(unsafe message.rejected_milli))
  }
}

extension PatternGain {
  init(wire message: Tutti__V1__PatternGain) throws(WireError) {
    let most = Int64(SkillTable.maximumCount)
    self.init(
      pattern: try unsafe String(wire: message.pattern, "PatternGain.pattern"),
      model: ModelID(try unsafe String(wire: message.model, "PatternGain.model")),
      kind: try unsafe AnswerKind(wire: message.kind, "PatternGain.kind"),
      choicesMilli: bounded(unsafe message.choices_milli),
      gainSum: Int(min(max(unsafe message.gain_sum, -most), most)),
      gainSquares: bounded(unsafe message.gain_squares),
      extraTokens: bounded(unsafe message.extra_tokens))
  }
}

extension SkillReport {
  init(wire message: Tutti__V1__SkillReport) throws(WireError) {
    self.init(
      pattern: try unsafe String(wire: message.pattern, "SkillReport.pattern"),
      choice: try unsafe required(message.choice, "SkillReport.choice") {
        choice throws(WireError) in try unsafe ChoiceFacts(wire: choice)
      })
  }
}

extension SkillTable {
  init(wire message: Tutti__V1__SkillTable) throws(WireError) {
    let skills = unsafe message.n_skills
    let gains = unsafe message.n_gains
    let most = Limits.skillRows.value
    guard skills <= most, gains <= most else { throw .tooManyElements(limit: most) }
    self.init(
      epoch: unsafe message.epoch, revision: unsafe message.revision,
      skills: try unsafe elements(skills, message.skills) { skill throws(WireError) in
        try unsafe ModelSkill(wire: skill)
      },
      gains: try unsafe elements(gains, message.gains) { gain throws(WireError) in
        try unsafe PatternGain(wire: gain)
      })
  }
}

/// Counts from another process, bounded so that sums of them do not overflow.
private func bounded(_ count: UInt64) -> Int {
  min(Int(clamping: count), SkillTable.maximumCount)
}
