import ClusterModel

/// Which tasks begin where, if each goes to the host that is expected to finish it first. Made anew for
/// every decision, from what is at the hosts at that moment.
struct HostSchedule {
  enum Placement: Equatable {
    /// nil: whoever does it chooses the host.
    case begin(HostID?)
    case wait
  }

  /// Tasks that are looked at while a slot is free: those behind them wait for the next decision. More
  /// than the slots of a cluster of laptops, and about a millisecond for a thousand hosts.
  static let lookAhead = 128
  /// Where agents choose the host: one task that is answered and one that waits for each slot, so that
  /// no host is idle while there is work, and it is decided late which host does what.
  static let perSlot = 2
  /// Of a host that nobody has measured, where nobody has measured another: a laptop's.
  static let usualRate = 20.0
  static let usualFirstToken = Duration.milliseconds(400)
  /// The rate of a host was measured beside others too, so no more of them are counted as making it
  /// slower yet.
  static let mostBeside = 4
  /// A task that takes longer than expected is expected to need this much of its whole time yet.
  static let overdue = 0.1

  /// A host that is free now is taken although another is expected to be sooner by up to this share:
  /// when that one is free is only expected, and it may be gone by then.
  static let certainty = 0.1

  private struct Slot {
    /// Seconds from now.
    var free: Double
    /// A task of this dispatcher has it or is to get it next: another one would wait for that.
    var isTaken: Bool
  }

  private struct Seat {
    let place: HostPlace
    let rate: Double
    let firstToken: Double
    /// Requests there now or next, of whomever.
    var busy: Int
    /// Empty: it does not tell how many it has, so nobody waits for it.
    var slots: [Slot]

    var hasRoom: Bool { slots.isEmpty || slots.contains { !$0.isTaken } }

    func seconds(_ tokens: Int, beside others: Int) -> Double {
      let slowdown = place.slowdown ?? HostSharing.usualSlowdown
      let slower = 1 + slowdown * Double(min(others, HostSchedule.mostBeside))
      return firstToken + Double(tokens) / rate * slower
    }

    /// When so many tokens would be written, and in which slot; nil: it has none.
    func end(of tokens: Int) -> (slot: Int?, end: Double) {
      guard let slot = slots.indices.min(by: { slots[$0].free < slots[$1].free }) else {
        // More than it is assumed to answer at once stand in its line.
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
  /// Tasks whose agents choose the host that may yet begin.
  private var open: Int

  init<Ticket>(_ line: HostLine<Ticket>, now: Instant) {
    isUniform = line.isUniform
    var atHost: [HostID: [HostLine<Ticket>.Running]] = [:]
    for task in line.running.values {
      if let host = task.host { atHost[host, default: []].append(task) }
    }
    // One that nobody knows is tried, so that somebody does.
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
      // Of each kind no more than one decision looks at: a host may claim any number of slots.
      let busy = min(others, left)
      seat.slots += Array(
        repeating: Slot(free: half, isTaken: false), count: min(busy, Self.lookAhead))
      seat.slots += Array(
        repeating: Slot(free: 0, isTaken: false), count: min(left - busy, Self.lookAhead))
      // The rest stand in the host's own queue, before any later request.
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

  /// Gives the task to a host, now or when that host is free.
  mutating func place(_ work: HostWork, tokens: Int) -> Placement {
    let able = seats.indices.filter { work.mayBeDone(at: seats[$0].place) }
    // Whoever does it says best why nobody can.
    guard let first = able.first else { return .begin(nil) }
    // A choice among models is the agent's.
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
