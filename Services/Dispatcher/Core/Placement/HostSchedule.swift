import ClusterModel
import HostModel
import Limits

/// Assigns tasks to the hosts that are expected to finish them first.
/// A schedule is built for each decision from the current load of the hosts.
struct HostSchedule {
  enum Placement: Equatable {
    case begin(TaskPlacement)
    case wait
  }

  /// Maximum tasks to examine per decision while a slot is free.
  /// 128 tasks exceed the slots of a cluster of laptops. Examining them takes about a millisecond
  /// for a thousand hosts.
  static let lookAhead = 128
  /// Maximum tasks per slot if agents choose the host.
  /// One task runs while the other one waits, so a slot is not idle between tasks. Further tasks
  /// wait in the dispatcher's queue.
  static let perSlot = 2
  /// Minimum remaining time of a running task, as a share of its whole expected time.
  static let overdue = 0.1

  /// Share by which a busy host must finish sooner than a free host to be chosen.
  /// The time at which the busy host becomes free is only an estimate, and the host may be gone by
  /// then.
  static let certainty = 0.1

  private struct Slot {
    /// Seconds until the slot is free.
    var free: Double
    /// Whether a task of this dispatcher uses the slot or is its next user, so that any other task
    /// waits.
    var isTaken: Bool
  }

  /// A host with its running tasks and the tasks that this decision assigned to it.
  private struct Timeline {
    let host: SchedulableHost
    let time: FinishTime
    /// Requests of all processes that are at the host now or next.
    var busy: Int
    /// Empty if the host does not report its slots. No task waits for such a host.
    var slots: [Slot]

    var hasRoom: Bool { slots.isEmpty || slots.contains { !$0.isTaken } }

    /// Expected end of an answer in seconds from now, and its slot. A `nil` slot means that the
    /// host reports no slots.
    func end(of tokens: Int) -> (slot: Int?, end: Double) {
      guard let slot = slots.indices.min(by: { slots[$0].free < slots[$1].free }) else {
        return (nil, time.seconds(tokens, inFlight: busy, slots: nil))
      }
      let begin = slots[slot].free
      return (slot, begin + time.seconds(tokens, concurrent: slots.count { $0.free > begin }))
    }
  }

  /// A host that could run a task, with the expected end of the answer in seconds from now.
  private struct Option {
    var timeline: Int
    var slot: Int?
    var end: Double
    /// Whether the slot has a task already, so that the answer cannot begin now.
    var waits: Bool
  }

  private var timelines: [Timeline]
  private let isUniform: Bool
  /// Number of tasks that may still begin without a host. Their agents choose the host.
  private var open: Int

  init<Ticket>(_ queue: HostQueue<Ticket>, now: Instant) {
    isUniform = queue.isUniform
    var atHost: [HostID: [HostQueue<Ticket>.Running]] = [:]
    for task in queue.running.values {
      if let host = task.host { atHost[host, default: []].append(task) }
    }
    let speeds = queue.hosts.map { queue.speed(of: $0) }
    let known = SpeedRange(speeds)
    let usual = queue.waiting.first.map { queue.expectedTokens($0.work) } ?? 0
    timelines = zip(queue.hosts, speeds).map { host, speed in
      let own = atHost[host.id] ?? []
      let others = queue.others(at: host, own: own.count, now: now)
      var timeline = Timeline(
        host: host,
        // A host that has not been measured gets the best known rate, so that it is tried.
        time: FinishTime(of: speed, among: known, belief: .optimistic),
        busy: own.count.addingCapped(others), slots: [])
      guard let slots = host.slots.map({ max(1, $0) }) else { return timeline }
      let ends = own.map { task in
        let whole = timeline.time.seconds(queue.expectedTokens(task.work))
        return max(whole - task.since.duration(to: now).inSeconds, whole * Self.overdue)
      }
      timeline.slots = ends.sorted().prefix(slots).map { Slot(free: $0, isTaken: true) }
      // The progress of other requests is unknown. Each is assumed to be half done.
      let half = timeline.time.seconds(usual) / 2
      let left = slots - timeline.slots.count
      // A host may claim any number of slots. One decision needs at most `lookAhead` busy and
      // `lookAhead` free ones.
      let busy = min(others, left)
      timeline.slots += Array(
        repeating: Slot(free: half, isTaken: false), count: min(busy, Self.lookAhead))
      timeline.slots += Array(
        repeating: Slot(free: 0, isTaken: false), count: min(left - busy, Self.lookAhead))
      // Requests beyond the host's slots wait in the host's own queue and are served before a new
      // request.
      for _ in 0..<min(others - busy, Self.lookAhead) {
        let next =
          timeline.slots.indices.min { timeline.slots[$0].free < timeline.slots[$1].free } ?? 0
        timeline.slots[next].free += half
      }
      return timeline
    }
    let unplaced = queue.running.count - atHost.values.reduce(0) { $0 + $1.count }
    let slots = queue.hosts.compactMap(\.slots)
    let isKnown = slots.count == queue.hosts.count && !slots.isEmpty
    let all = slots.reduce(0) { $0 + min(max(1, $1), 65_536) }
    open = isKnown ? all * Self.perSlot - unplaced : .max
  }

  /// Whether any task could begin.
  var hasRoom: Bool {
    timelines.isEmpty || timelines.contains(where: \.hasRoom) || !isUniform && open > 0
  }

  /// Whether a task like this one could begin.
  func hasRoom(for work: HostWork) -> Bool {
    guard isUniform || !work.models.isEmpty else { return open > 0 }
    let able = timelines.filter { work.mayBeDone(at: $0.host) }
    return able.isEmpty || able.contains(where: \.hasRoom)
  }

  /// Assigns the task to a host, to begin now or when the host is free.
  ///
  /// If all hosts of the task's first model are busy, a free host with another model of the task
  /// may finish sooner and is taken. Otherwise the task waits for a host of its first model. Models
  /// that no host offers are skipped.
  mutating func place(_ work: HostWork, tokens: Int) -> Placement {
    // If hosts differ in models and the task names none, the agent chooses.
    guard isUniform || !work.models.isEmpty else {
      guard timelines.contains(where: { work.mayBeDone(at: $0.host) }) else { return .begin(.open) }
      guard open > 0 else { return .wait }
      open -= 1
      return .begin(.open)
    }
    var awaited: Option?
    for model in work.models.isEmpty ? [nil] : work.models.map(Optional.some) {
      guard let option = best(of: model, for: work, tokens, onlyFree: awaited != nil) else {
        continue
      }
      if !option.waits, option.end < awaited?.end ?? .infinity {
        take(option)
        return .begin(TaskPlacement(host: timelines[option.timeline].host.id, model: model))
      }
      awaited = awaited ?? option
    }
    // If no host can do the task, it begins now. Its agent fails with the most exact reason.
    guard let awaited else { return .begin(.open) }
    take(awaited)
    return .wait
  }

  /// Returns the host that is expected to finish first with the model.
  /// A free host is preferred, unless a busy host finishes sooner by more than `certainty`.
  ///
  /// - Parameters:
  ///   - model: `nil` means any chat model.
  ///   - onlyFree: whether busy hosts are left out.
  private func best(
    of model: ModelID?, for work: HostWork, _ tokens: Int, onlyFree: Bool
  ) -> Option? {
    let models = model.map { [$0] } ?? []
    var best: Option?
    var free: Option?
    for index in timelines.indices
    where timelines[index].host.mayServe(
      models, work.dataPolicy, work.pools, work.allowed)
    {
      let (slot, end) = timelines[index].end(of: tokens)
      let option = Option(
        timeline: index, slot: slot, end: end,
        waits: slot.map { timelines[index].slots[$0].isTaken } ?? false)
      if end < best?.end ?? .infinity { best = option }
      if !option.waits, end < free?.end ?? .infinity { free = option }
    }
    guard let free, let best else { return onlyFree ? nil : best }
    return onlyFree || free.end <= best.end * (1 + Self.certainty) ? free : best
  }

  private mutating func take(_ option: Option) {
    guard let slot = option.slot else {
      timelines[option.timeline].busy += 1
      return
    }
    timelines[option.timeline].slots[slot] = Slot(free: option.end, isTaken: true)
  }
}
