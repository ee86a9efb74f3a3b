import ClusterModel

/// How long a query takes when it is answered directly, and when it is split, on the hosts that
/// there are. Whole milliseconds, so that the same facts give the same decision everywhere.
struct SplitEstimate: Equatable {
  var directMilliseconds: Int
  var splitMilliseconds: Int
  /// Hosts that got a part.
  var hosts: Int
  /// The model for each part, where hosts differ in their models; nil: any.
  var models: [ModelID?]

  /// What a split must save to be worth its calls: half a second, and a tenth of the direct time,
  /// because estimates err.
  var isWorthwhile: Bool {
    splitMilliseconds + 500 + directMilliseconds / 10 < directMilliseconds
  }

  /// - Parameters:
  ///   - proposal: estimated tokens of a model call that proposes the split; 0: none is needed.
  init(_ split: Split, basis: PlanBasis, proposal: Int = 0) {
    let pool = HostPool(basis.request)
    let limit = basis.request.maxTokens ?? .max
    let wanted = split.parts.reduce(0) { $0 + $1.tokens }
    // A client's limit holds for all parts together.
    let scale = wanted > limit ? (limit, wanted) : (1, 1)
    let tokens = split.parts.map { max(1, $0.tokens * scale.0 / scale.1) }
    let reading = split.parts.reduce(0) { $0 + $1.promptTokens }

    var finish = 0
    var directTokens = tokens.reduce(0, +)
    if case .synthesise(_, let merged) = split.merge {
      // The parts are only there to be merged: directly, nobody would write them.
      directTokens = merged
      finish = pool.fastest.milliseconds(
        writing: min(merged, limit), reading: basis.conversationTokens + tokens.reduce(0, +))
    }
    directMilliseconds = pool.fastest.milliseconds(
      writing: min(directTokens, limit), reading: max(basis.conversationTokens, reading))
    let schedule = ListSchedule(split.parts, tokens: tokens, pool: pool)
    splitMilliseconds = schedule.makespan + finish + Self.overheadMilliseconds
    if proposal > 0 {
      splitMilliseconds += pool.fastest.milliseconds(
        writing: proposal, reading: basis.conversationTokens)
    }
    hosts = schedule.hosts.count
    models = schedule.models
  }

  /// Planning, the bus and the agents, for the whole plan.
  static let overheadMilliseconds = 50

  /// For the trace: "3 parts over 4 hosts, about 4.1 s instead of 9.8 s".
  func description(of split: Split) -> String {
    let over = hosts == 1 ? "1 host" : "\(hosts) hosts"
    return
      "\(split.parts.count) \(split.kind) over \(over), about \(Self.seconds(splitMilliseconds)) "
      + "instead of \(Self.seconds(directMilliseconds))"
  }

  static func seconds(_ milliseconds: Int) -> String {
    let tenths = (milliseconds + 50) / 100
    return "\(tenths / 10).\(tenths % 10) s"
  }
}

/// The hosts as places where an answer can be written, one per free slot.
struct HostPool {
  struct Place {
    var host: HostID
    var models: [ModelID]
    var rateMilli: Int
    var firstTokenMilliseconds: Int

    /// Prompts are read some ten times as fast as answers are written.
    func milliseconds(writing: Int, reading: Int) -> Int {
      let perSecond = max(1, rateMilli)
      return firstTokenMilliseconds + min(writing, 1_000_000) * 1_000_000 / perSecond
        + min(reading, 10_000_000) * 100_000 / perSecond
    }
  }

  /// Fastest first.
  let places: [Place]
  /// Every host that may be asked offers the same models.
  let isUniform: Bool

  /// Of a laptop: some tokens a second, and a moment until the first.
  static let usualRateMilli = 20_000
  static let usualFirstTokenMilliseconds = 400
  /// A host that takes more at once writes each of them slower, so more says nothing of speed.
  static let mostSlots = 8
  /// Answers that one host writes at the same time slow each other down; how much differs between
  /// backends, so this is cautious: the second has three quarters of the speed of the first, and so on.
  /// Without it two parts would be put on one host while another is idle.
  static let sharing = (of: 3, outOf: 4)

  init(_ request: PlanRequest) {
    let wanted = Set(request.models)
    var places: [Place] = []
    for host in request.hosts.prefix(PlanValidation.maximumHosts) {
      let models = host.models.filter { wanted.isEmpty || wanted.contains($0) }.sorted()
      guard !models.isEmpty else { continue }
      let place = Place(
        host: host.id, models: models,
        rateMilli: host.rateMilli > 0 ? host.rateMilli : Self.usualRateMilli,
        firstTokenMilliseconds: host.firstTokenMilliseconds > 0
          ? host.firstTokenMilliseconds : Self.usualFirstTokenMilliseconds)
      var next = place
      for _ in 0..<min(max(0, host.freeSlots), Self.mostSlots) {
        places.append(next)
        next.rateMilli = next.rateMilli * Self.sharing.of / Self.sharing.outOf
      }
    }
    if places.isEmpty {
      // Nothing is free or nothing is known: then there is one place, and nothing to gain. What was
      // measured holds all the same.
      let fastest = request.hosts.max { $0.rateMilli < $1.rateMilli }
      func known(_ value: Int?, else usual: Int) -> Int {
        value.flatMap { $0 > 0 ? $0 : nil } ?? usual
      }
      places = [
        Place(
          host: "", models: request.models.isEmpty ? request.available : request.models,
          rateMilli: known(fastest?.rateMilli, else: Self.usualRateMilli),
          firstTokenMilliseconds: known(
            fastest?.firstTokenMilliseconds, else: Self.usualFirstTokenMilliseconds))
      ]
    }
    places.sort {
      ($1.rateMilli, $0.firstTokenMilliseconds, $0.host)
        < ($0.rateMilli, $1.firstTokenMilliseconds, $1.host)
    }
    self.places = places
    isUniform = Set(places.map(\.models)).count == 1
  }

  var fastest: Place { places[0] }
}

/// Puts parts on places: the longest first, each where it ends soonest, none before what it needs.
struct ListSchedule {
  private(set) var makespan = 0
  private(set) var hosts: Set<HostID> = []
  private(set) var models: [ModelID?]

  init(_ parts: [Split.Part], tokens: [Int], pool: HostPool) {
    models = Array(repeating: nil, count: parts.count)
    var ends = [Int?](repeating: nil, count: parts.count)
    var free = [Int](repeating: 0, count: pool.places.count)
    var open = Set(parts.indices)
    while !open.isEmpty {
      let ready = open.filter { part in parts[part].needs.allSatisfy { ends[$0] != nil } }
      // The largest, of equal ones the first. Parts that wait for themselves are a bug of whoever
      // made them; they are taken in their order.
      guard
        let part = (ready.isEmpty ? open : ready).min(by: {
          (tokens[$1], $0) < (tokens[$0], $1)
        })
      else { break }
      open.remove(part)
      let earliest = parts[part].needs.compactMap { ends[$0] }.max() ?? 0
      var best = (place: 0, end: Int.max)
      for (place, data) in pool.places.enumerated() {
        let end =
          max(earliest, free[place])
          + data.milliseconds(writing: tokens[part], reading: parts[part].promptTokens)
        if end < best.end { best = (place, end) }
      }
      free[best.place] = best.end
      ends[part] = best.end
      makespan = max(makespan, best.end)
      hosts.insert(pool.places[best.place].host)
      if !pool.isUniform { models[part] = pool.places[best.place].models.first }
    }
  }
}
