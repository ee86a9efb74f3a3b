import ClusterModel

/// Best schedules computed with full knowledge of task durations and of when hosts join and die.
struct BestSchedule {
  private let seconds: [Double]
  private let sources: [[Int]]
  private let hosts: [SimulatedHost]

  init(_ work: DocumentWork, _ hosts: [SimulatedHost]) {
    let plan = work.plan
    var indices: [TaskID: Int] = [:]
    for (index, task) in plan.tasks.enumerated() { indices[task.id] = index }
    seconds = plan.tasks.map { work.actual[$0.id] ?? 0 }
    sources = plan.tasks.map { $0.inputs.compactMap { indices[$0.from] } }
    self.hosts = hosts
  }

  /// Length of the shortest of many list schedules. Each takes the tasks in a random order of
  /// priority and places each on the host that finishes it first.
  func byList(tries: Int, seed: UInt64) -> Double {
    var rng = SplitMix64(seed: seed)
    var best = Double.infinity
    for attempt in 0..<tries {
      var priorities = seconds.indices.map { _ in Double.random(in: 0..<1, using: &rng) }
      // The first two orders are not random: longest first, and shortest first.
      if attempt == 0 { priorities = seconds }
      if attempt == 1 { priorities = seconds.map { -$0 } }
      best = min(best, list(priorities, within: best))
    }
    return best
  }

  /// - Returns: infinity if the schedule is not shorter than `bound`, or if no host can run a task.
  private func list(_ priorities: [Double], within bound: Double) -> Double {
    var free = hosts.map(\.joins)
    var ends = [Double?](repeating: nil, count: seconds.count)
    for _ in seconds.indices {
      let open = seconds.indices.filter { task in
        ends[task] == nil && sources[task].allSatisfy { ends[$0] != nil }
      }
      guard let task = open.max(by: { priorities[$0] < priorities[$1] }),
        let place = place(task, ends, free)
      else { return .infinity }
      ends[task] = place.end
      if let host = place.host { free[host] = place.end }
      if place.end >= bound { return .infinity }
    }
    return ends.compactMap { $0 }.max() ?? 0
  }

  private func place(
    _ task: Int, _ ends: [Double?], _ free: [Double]
  ) -> (host: Int?, end: Double)? {
    let ready = sources[task].compactMap { ends[$0] }.max() ?? 0
    guard seconds[task] > 0 else { return (nil, ready) }
    var best: (host: Int?, end: Double)?
    for (index, host) in hosts.enumerated() {
      let end = max(ready, free[index]) + seconds[task] / host.speed
      if end <= host.dies, end < best?.end ?? .infinity { best = (index, end) }
    }
    return best
  }

  /// Length of the optimal schedule, for about ten tasks. It tries every order and every host, and
  /// skips branches that cannot be shorter than the best result.
  func exhaustive() -> Double {
    var best = byList(tries: 200, seed: 1)
    var free = hosts.map(\.joins)
    var ends = [Double?](repeating: nil, count: seconds.count)
    let fastest = hosts.map(\.speed).max() ?? 1
    let together = hosts.reduce(0) { $0 + $1.speed }
    let tails = tails(fastest)
    func search(_ leftSeconds: Double, _ latest: Double) {
      guard ends.contains(nil) else {
        best = min(best, latest)
        return
      }
      let busy = zip(hosts, free).reduce(0.0) { $0 + $1.0.speed * $1.1 }
      if (busy + leftSeconds) / together >= best { return }
      var tried: Set<[Double]> = []
      for task in seconds.indices where ends[task] == nil {
        guard sources[task].allSatisfy({ ends[$0] != nil }) else { continue }
        let ready = sources[task].compactMap { ends[$0] }.max() ?? 0
        // Equivalent tasks need not be tried one by one.
        guard tried.insert([seconds[task], ready, tails[task]]).inserted else { continue }
        if seconds[task] == 0 {
          ends[task] = ready
          search(leftSeconds, max(latest, ready))
          ends[task] = nil
          // A task without cost runs immediately, because waiting gains nothing.
          return
        }
        for index in hosts.indices {
          let before = free[index]
          let end = max(ready, before) + seconds[task] / hosts[index].speed
          guard end + tails[task] < best, end <= hosts[index].dies else { continue }
          ends[task] = end
          free[index] = end
          search(leftSeconds - seconds[task], max(latest, end))
          ends[task] = nil
          free[index] = before
        }
      }
    }
    search(seconds.reduce(0, +), 0)
    return best
  }

  /// The minimum time from each task's end to the end of the plan.
  private func tails(_ fastest: Double) -> [Double] {
    var tails = [Double](repeating: 0, count: seconds.count)
    // In the list, every task comes after its sources.
    for task in seconds.indices.reversed() {
      for source in sources[task] {
        tails[source] = max(tails[source], tails[task] + seconds[task] / fastest)
      }
    }
    return tails
  }

  /// A lower bound for every schedule. All hosts work without pause until only the tail is left,
  /// which waits for all other tasks. The fastest live host then does the tail.
  static func bound(_ work: DocumentWork, _ hosts: [SimulatedHost]) -> Double {
    var left = work.seconds - work.tailSeconds
    var now = 0.0
    while left > 1e-12 {
      let alive = hosts.filter { $0.joins <= now && now < $0.dies }
      let speed = alive.reduce(0) { $0 + $1.speed }
      let change =
        hosts.flatMap { [$0.joins, $0.dies] }.filter { $0 > now }.min() ?? .infinity
      let step = min(change - now, left / speed)
      left -= step * speed
      now += step
    }
    let fastest = hosts.filter { now < $0.dies }.map(\.speed).max() ?? 1
    return now + work.tailSeconds / fastest
  }
}
