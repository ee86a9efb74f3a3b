import ClusterModel
import HostModel
import Limits

/// Estimated times of a query on the current hosts: answered directly, and split.
///
/// Times are whole milliseconds, so the same facts give the same decision everywhere.
struct SplitEstimate: Equatable {
  /// Estimates from the facts alone, without the correction.
  var direct: PlanEstimate.Way
  var split: PlanEstimate.Way
  var correction: EstimateCorrection
  /// Number of hosts that got a part.
  var hosts: Int
  /// Model of each part. `nil` means any model, because the hosts offer the same models, or because
  /// the part's host offers several.
  var models: [ModelID?]

  /// Times with the learned correction applied.
  var directMilliseconds: Int { direct.milliseconds * correction.directPercent / 100 }
  var splitMilliseconds: Int { split.milliseconds * correction.splitPercent / 100 }

  var isWorthwhile: Bool {
    PlanEstimate.isWorthwhile(split: splitMilliseconds, direct: directMilliseconds)
  }

  /// - Parameters:
  ///   - proposal: estimated tokens of a call that proposes the split. 0 means that no call is
  ///     needed.
  init(_ split: Split, basis: PlanBasis, proposal: Int = 0) {
    let pool = HostPool(basis.request, models: split.models)
    let limit = basis.request.maxTokens ?? .max
    let tokens = split.partTokens(atMost: limit)
    let reading = split.parts.map { split.promptTokens(of: $0, basis) }

    let schedule = ListSchedule(split.parts, tokens: tokens, reading: reading, pool: pool)
    var time = schedule.makespan
    time.milliseconds += Self.overheadMilliseconds
    var written = tokens.reduce(0, +)
    var directTokens = written
    if let merged = split.merge.tokens {
      // A direct answer does not write the parts, because they are only inputs of the merge.
      directTokens = merged
      time += pool.fastest.time(
        writing: min(merged, limit), reading: basis.conversationTokens + written)
      written += min(merged, limit)
    }
    if proposal > 0 {
      time += pool.fastest.time(writing: proposal, reading: basis.conversationTokens)
      written += proposal
    }
    directTokens = min(directTokens, limit)
    // A direct answer reads the conversation and all documents once.
    direct = pool.fastest.time(
      writing: directTokens, reading: basis.conversationTokens + split.documentTokens(basis)
    ).way(tokens: directTokens)
    self.split = time.way(tokens: written)
    correction = basis.request.correction
    if proposal > 0 { correction.splitPercent = correction.splitPercent(for: .proposal) }
    hosts = schedule.hosts.count
    models = schedule.models
  }

  /// Time for planning, the bus and the agents, per plan.
  static let overheadMilliseconds = 50

  func plain(_ decision: PlanEstimate.Decision) -> PlanEstimate {
    PlanEstimate(decision: decision, direct: direct, split: split)
  }

  /// Text for the trace: "3 parts over 4 hosts, about 4.1 s instead of 9.8 s".
  func description(of split: Split) -> String {
    let over = hosts == 1 ? "1 host" : "\(hosts) hosts"
    return "\(split.parts.count) \(split.kind) over \(over), \(comparison)"
  }

  /// Text for the trace: "about 4.1 s instead of 9.8 s". If there is a correction, the text also
  /// has the uncorrected times.
  var comparison: String {
    "about \(Self.seconds(splitMilliseconds)) instead of \(Self.seconds(directMilliseconds))"
      + correctionText
  }

  /// Reason for a direct answer: "a split into 3 parts would take about 9.0 s, one answer 6.0 s".
  func reasonAgainst(_ split: Split) -> String {
    "a split into \(split.parts.count) \(split.kind) would take about "
      + "\(Self.seconds(splitMilliseconds)), one answer \(Self.seconds(directMilliseconds))"
      + correctionText
  }

  private var correctionText: String {
    guard correction != .none else { return "" }
    return ", corrected from \(Self.seconds(split.milliseconds)) and "
      + Self.seconds(direct.milliseconds)
  }

  static func seconds(_ milliseconds: Int) -> String {
    let tenths = (milliseconds + 50) / 100
    return "\(tenths / 10).\(tenths % 10) s"
  }
}

/// An estimated time, and the portion of it spent writing tokens.
struct EstimatedTime: Equatable {
  var milliseconds = 0
  var writing = 0

  static func += (left: inout EstimatedTime, right: EstimatedTime) {
    left.milliseconds += right.milliseconds
    left.writing += right.writing
  }

  static func + (left: EstimatedTime, right: EstimatedTime) -> EstimatedTime {
    var sum = left
    sum += right
    return sum
  }

  static func * (time: EstimatedTime, factor: Double) -> EstimatedTime {
    func scaled(_ milliseconds: Int) -> Int {
      Int(clamping: (Double(milliseconds) * factor).rounded())
    }
    return EstimatedTime(
      milliseconds: scaled(time.milliseconds), writing: scaled(time.writing))
  }

  static func later(_ one: EstimatedTime, _ other: EstimatedTime) -> EstimatedTime {
    other.milliseconds > one.milliseconds ? other : one
  }

  func way(tokens: Int) -> PlanEstimate.Way {
    PlanEstimate.Way(
      milliseconds: milliseconds, writingMilliseconds: writing, tokens: max(1, tokens))
  }
}

/// A host that can write an answer now, and how long the answer takes.
struct EstimatedHost {
  let host: SchedulableHost
  let time: FinishTime

  /// Number of answers that the host can take now.
  /// The measured slowdown holds only for a few concurrent answers, so the number is limited.
  var slots: Int { min(host.slots ?? 1, FinishTime.mostConcurrent + 1) }

  var firstToken: EstimatedTime { EstimatedTime(milliseconds: Self.milliseconds(time.firstToken)) }

  /// Returns the time of an answer that has the host to itself.
  func time(writing: Int, reading: Int) -> EstimatedTime {
    self.writing(writing, reading: reading) + firstToken
  }

  /// Returns the time of an answer without the wait for the first token.
  func writing(_ tokens: Int, reading: Int) -> EstimatedTime {
    let writing = Self.milliseconds(time.writing(min(tokens, 1_000_000)))
    let reading = Self.milliseconds(time.reading(min(reading, 10_000_000)))
    return EstimatedTime(milliseconds: writing + reading, writing: writing)
  }

  /// Rounds to whole milliseconds. Their sums are exact, so equal parts have equal ends.
  private static func milliseconds(_ seconds: Double) -> Int {
    Int(clamping: (seconds * 1_000).rounded())
  }
}

/// The hosts that can write an answer now.
struct HostPool {
  /// Fastest first.
  let hosts: [EstimatedHost]
  /// True if all these hosts offer the same models.
  let isUniform: Bool

  /// Maximum first-token time. No request may take longer.
  private static let mostFirstToken = Duration.seconds(3_600)

  /// - Parameter models: models of the tasks. Empty means the models that the client named,
  ///   otherwise any model.
  init(_ request: PlanRequest, models: [ModelID] = []) {
    let wanted = Set(models.isEmpty ? request.models : models)
    // A split is optional, so an unmeasured host is assumed to be like the slowest measured one.
    let known = SpeedRange(request.hosts.map(Self.speed))
    var hosts: [EstimatedHost] = []
    for facts in request.hosts.prefix(PlanValidation.maximumHosts) {
      let models = facts.models.filter { wanted.isEmpty || wanted.contains($0) }
      guard !models.isEmpty, facts.freeSlots > 0 else { continue }
      let host = SchedulableHost(
        id: facts.id, models: Set(models), slots: facts.freeSlots, speed: Self.speed(facts))
      hosts.append(
        EstimatedHost(
          host: host, time: FinishTime(of: host.speed, among: known, belief: .cautious)))
    }
    if hosts.isEmpty {
      // If no host is free or known, one slot is assumed, so that a split gains nothing. Measured
      // speeds still apply.
      let fastest = request.hosts.filter { $0.rateMilli > 0 }.max { $0.rateMilli < $1.rateMilli }
      var speed = fastest.map(Self.speed) ?? HostSpeed()
      speed.slowdown = nil
      let host = SchedulableHost(
        id: "", models: wanted.isEmpty ? Set(request.available) : wanted, slots: 1,
        speed: speed)
      hosts = [
        EstimatedHost(host: host, time: FinishTime(of: speed, among: known, belief: .cautious))
      ]
    }
    hosts.sort {
      ($1.time.tokensPerSecond, $0.time.firstToken, $0.host.id)
        < ($0.time.tokensPerSecond, $1.time.firstToken, $1.host.id)
    }
    self.hosts = hosts
    isUniform = Set(hosts.map(\.host.models)).count == 1
  }

  private static func speed(_ facts: HostFacts) -> HostSpeed {
    HostSpeed(
      tokensPerSecond: facts.rateMilli > 0 ? Double(facts.rateMilli) / 1_000 : nil,
      firstToken: facts.firstTokenMilliseconds > 0
        ? min(.milliseconds(facts.firstTokenMilliseconds), mostFirstToken) : nil,
      slowdown: facts.slowdownPercent.map { Double($0) / 100 })
  }

  var fastest: EstimatedHost { hosts[0] }

  /// Number of answers that can be written at the same time.
  var slots: Int { hosts.reduce(0) { $0 + $1.slots } }
}

/// Assigns parts to hosts by list scheduling.
///
/// The next part is always the longest one whose needs are assigned. It gets the host that finishes
/// it first, and begins after the parts that it needs.
struct ListSchedule {
  /// End time of the last part.
  private(set) var makespan = EstimatedTime()
  private(set) var hosts: Set<HostID> = []
  private(set) var models: [ModelID?]

  /// A host with the parts assigned to it so far.
  private struct Timeline {
    let host: EstimatedHost
    /// Time at which each slot becomes free.
    var free: [EstimatedTime]
    var parts = 0
    /// Sum of the times of the assigned parts, if each part had the host to itself.
    var work = EstimatedTime()

    init(_ host: EstimatedHost) {
      self.host = host
      free = Array(repeating: EstimatedTime(), count: host.slots)
    }

    /// Returns the slot and end time of a part that cannot begin before `earliest`.
    func place(
      writing: Int, reading: Int, after earliest: EstimatedTime
    ) -> (slot: Int, end: EstimatedTime, work: EstimatedTime) {
      // Ties go to the first slot.
      let slot = free.indices.min { free[$0].milliseconds < free[$1].milliseconds } ?? 0
      let begin = EstimatedTime.later(earliest, free[slot])
      let alone = host.writing(writing, reading: reading)
      let others = free.count { $0.milliseconds > begin.milliseconds }
      let end = begin + host.firstToken + alone * host.time.stretch(concurrent: others)
      // A later part also slows down earlier parts, which have their end times already. So a part
      // never ends before the host could have done all its work.
      let work = work + alone
      let atOnce = min(parts + 1, free.count)
      let all = work * (host.time.stretch(concurrent: atOnce - 1) / Double(atOnce))
      return (slot, .later(end, all), work)
    }
  }

  /// - Parameters:
  ///   - tokens: tokens that each part writes.
  ///   - reading: tokens that each part reads.
  init(_ parts: [Split.Part], tokens: [Int], reading: [Int], pool: HostPool) {
    models = Array(repeating: nil, count: parts.count)
    var ends = [EstimatedTime?](repeating: nil, count: parts.count)
    var timelines = pool.hosts.map { Timeline($0) }
    var open = Set(parts.indices)
    while !open.isEmpty {
      let ready = open.filter { part in parts[part].needs.allSatisfy { ends[$0] != nil } }
      // The largest part is first, and equal parts keep their order. Parts whose needs form a cycle
      // are never ready. The code that made them has a bug, but they still get hosts.
      guard
        let part = (ready.isEmpty ? open : ready).min(by: {
          (tokens[$1], $0) < (tokens[$0], $1)
        })
      else { break }
      open.remove(part)
      let earliest = parts[part].needs.compactMap { ends[$0] }
        .reduce(EstimatedTime(), EstimatedTime.later)
      let places = timelines.map {
        $0.place(writing: tokens[part], reading: reading[part], after: earliest)
      }
      guard
        let best = places.indices.min(by: {
          places[$0].end.milliseconds < places[$1].end.milliseconds
        })
      else { break }
      timelines[best].free[places[best].slot] = places[best].end
      timelines[best].parts += 1
      timelines[best].work = places[best].work
      ends[part] = places[best].end
      makespan = .later(makespan, places[best].end)
      let host = pool.hosts[best].host
      hosts.insert(host.id)
      // If the host offers several models, its agent chooses one for the part.
      if !pool.isUniform, host.models.count == 1 { models[part] = host.models.first }
    }
  }
}
