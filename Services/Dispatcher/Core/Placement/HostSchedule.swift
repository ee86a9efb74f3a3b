import ClusterModel

/// Assigns tasks to the hosts that are expected to finish them first.
/// A schedule is built for each decision from the current load of the hosts.
struct HostSchedule {
  enum Placement: Equatable {
    /// `nil` means that the agent chooses the host.
    case begin(HostID?)
    case wait
  }

  /// Maximum tasks to examine per decision while a slot is free.
  /// 128 exceeds the slots of a cluster of laptops, and takes about a millisecond for a thousand
  /// hosts.
  static let lookAhead = 128
  /// Maximum tasks per slot if agents choose the host.
  /// One is answered and one waits, so no host is idle while there is work, and the host of a task
  /// is still chosen late.
  static let perSlot = 2
  /// Assumed tokens per second if no host has been measured: those of a laptop.
  static let usualRate = 20.0
  static let usualFirstToken = Duration.milliseconds(400)
  /// Maximum concurrent requests that slow a host down in the estimate.
  /// The measured rate already includes some concurrency, so more would be counted twice.
  static let mostBeside = 4
  /// Minimum remaining time of a running task, as a share of its whole expected time.
  static let overdue = 0.1

  /// Advantage in expected finish that a busy host needs over a free host, as a share.
  /// The busy host's free time is only an estimate, and the host may be gone by then.
  static let certainty = 0.1

  private struct Slot {
    /// Seconds until the slot is free.
    var free: Double
    /// A task of this dispatcher has the slot or is next, so another one would wait.
    var isTaken: Bool
  }

  private struct Seat {
    let place: HostPlace
    let rate: Double
    let firstToken: Double
    /// Requests of all processes that are at the host now or next.
    var busy: Int
    /// Empty if the host does not report its slots; then no task waits for it.
    var slots: [Slot]

    var hasRoom: Bool { slots.isEmpty || slots.contains { !$0.isTaken } }

    func seconds(_ tokens: Int, beside others: Int) -> Double {
      let slowdown = place.slowdown ?? HostSharing.usualSlowdown
      let slower = 1 + slowdown * Double(min(others, HostSchedule.mostBeside))
      return firstToken + Double(tokens) / rate * slower
    }

    /// Expected end in seconds from now, and the slot. A `nil` slot means that the host reports
    /// none.
    func end(of tokens: Int) -> (slot: Int?, end: Double) {
      guard let slot = slots.indices.min(by: { slots[$0].free < slots[$1].free }) else {
        // Requests beyond the assumed slots wait in the host's own queue.
        let slots = HostSharing.assumedSlots
        let inLine = max(1, Double(busy + 1) / Double(slots))
        return (nil, seconds(tokens, beside: min(busy, slots - 1)) * inLine)
      }
      let begin = slots[slot].free
      return (slot, begin + seconds(tokens, beside: slots.count { $0.free > begin }))
    }
  }

  private var seats: [Seat]
  private let isUniform: Bool
  /// Tasks that may still begin with the host left to their agent.
  private var open: Int

  init<Ticket>(_ line: HostLine<Ticket>, now: Instant) {
    isUniform = line.isUniform
    var atHost: [HostID: [HostLine<Ticket>.Running]] = [:]
    for task in line.running.values {
      if let host = task.host { atHost[host, default: []].append(task) }
    }
    // A host that has not been measured gets the best known rate, so that it is tried and measured.
    let unknown = line.places.compactMap { line.rate(of: $0) }.max() ?? Self.usualRate
    let usual = line.waiting.first.map { line.expectedTokens($0.work) } ?? 0
    seats = line.places.map { place in
      let own = atHost[place.id] ?? []
      let others = line.others(at: place, own: own.count, now: now)
      var seat = Seat(
        place: place, rate: max(line.rate(of: place) ?? unknown, 0.1),
        firstToken: (place.firstToken ?? Self.usualFirstToken).inSeconds,
        busy: own.count + others, slots: [])
      guard let slots = place.slots.map({ max(1, $0) }) else { return seat }
      let ends = own.map { task in
        let whole = seat.seconds(line.expectedTokens(task.work), beside: 0)
        return max(whole - task.since.duration(to: now).inSeconds, whole * Self.overdue)
      }
      seat.slots = ends.sorted().prefix(slots).map { Slot(free: $0, isTaken: true) }
      // The progress of other requests is unknown; assume half.
      let half = seat.seconds(usual, beside: 0) / 2
      let left = slots - seat.slots.count
      // One decision needs no more slots of either kind than it looks at tasks. A host may claim
      // any number of slots.
      let busy = min(others, left)
      seat.slots += Array(
        repeating: Slot(free: half, isTaken: false), count: min(busy, Self.lookAhead))
      seat.slots += Array(
        repeating: Slot(free: 0, isTaken: false), count: min(left - busy, Self.lookAhead))
      // The other requests stand in the host's own queue, before any later request.
      for _ in 0..<min(others - busy, Self.lookAhead) {
        let next = seat.slots.indices.min { seat.slots[$0].free < seat.slots[$1].free } ?? 0
        seat.slots[next].free += half
      }
      return seat
    }
    let unplaced = line.running.count - atHost.values.reduce(0) { $0 + $1.count }
    let slots = line.places.compactMap(\.slots)
    let isKnown = slots.count == line.places.count && !slots.isEmpty
    let all = slots.reduce(0) { $0 + min(max(1, $1), 65_536) }
    open = isKnown ? all * Self.perSlot - unplaced : .max
  }

  /// Whether any task could begin.
  var hasRoom: Bool {
    seats.isEmpty || seats.contains(where: \.hasRoom) || !isUniform && open > 0
  }

  /// Whether a task like this one could begin.
  func hasRoom(for work: HostWork) -> Bool {
    guard isUniform || !work.models.isEmpty else { return open > 0 }
    let able = seats.filter { work.mayBeDone(at: $0.place) }
    return able.isEmpty || able.contains(where: \.hasRoom)
  }

  /// Assigns the task to a host, to begin now or when the host is free.
  mutating func place(_ work: HostWork, tokens: Int) -> Placement {
    let able = seats.indices.filter { work.mayBeDone(at: seats[$0].place) }
    // No host can do the task; the agent gives the best reason.
    guard let first = able.first else { return .begin(nil) }
    // If hosts differ in models and the task names none, the agent chooses.
    guard isUniform || !work.models.isEmpty else {
      guard open > 0 else { return .wait }
      open -= 1
      return .begin(nil)
    }
    var best = (seat: first, slot: Int?.none, end: Double.infinity)
    var free = best
    for index in able {
      let (slot, end) = seats[index].end(of: tokens)
      if end < best.end { best = (index, slot, end) }
      let waits = slot.map { seats[index].slots[$0].isTaken } ?? false
      if !waits, end < free.end { free = (index, slot, end) }
    }
    if free.end <= best.end * (1 + Self.certainty) { best = free }
    let host = seats[best.seat].place.id
    guard let slot = best.slot else {
      seats[best.seat].busy += 1
      return .begin(host)
    }
    let waits = seats[best.seat].slots[slot].isTaken
    seats[best.seat].slots[slot] = Slot(free: best.end, isTaken: true)
    return waits ? .wait : .begin(host)
  }
}
