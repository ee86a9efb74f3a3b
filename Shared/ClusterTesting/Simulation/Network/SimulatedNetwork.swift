import BusCore
import ClusterModel
import Wire

/// Carries encoded frames between mailboxes, with seeded loss, delay and partitions.
///
/// As over nanomsg, frames of one lane from one process to another stay in order, and frames of the
/// control lane may overtake others. A lost frame is not sent again.
final class SimulatedNetwork {
  /// A one-way connection from an incarnation to a mailbox. Control frames have a connection of
  /// their own.
  private struct Link: Hashable {
    var sender: PeerID
    var mailbox: String
    var isControl: Bool
  }

  private unowned let cluster: SimulatedCluster
  private var chance: SplitMix64
  private var receivers: [String: SimulatedProcess] = [:]
  /// Arrival of the last frame of each connection.
  private var lastArrival: [Link: Instant] = [:]
  /// Pairs of process names that cannot reach each other, each with the end of the partition.
  private var partitions: [Set<String>: Instant] = [:]
  /// Whether frames can be lost and deaths can be silent.
  var hasFaults = true
  private(set) var frames = 0
  private(set) var lost = 0

  init(_ cluster: SimulatedCluster, chance: SplitMix64) {
    self.cluster = cluster
    self.chance = chance
  }

  private var time: VirtualTime { cluster.time }

  func open(_ mailbox: String, _ process: SimulatedProcess) { receivers[mailbox] = process }

  /// Closes the mailbox of a process that died. The processes that are connected to it are
  /// notified, except over connections that stay silent.
  func close(_ process: SimulatedProcess) {
    let mailbox = process.machine.own.mailbox
    if receivers[mailbox] === process { receivers[mailbox] = nil }
    lastArrival = lastArrival.filter { $0.key.sender != process.id }
    for other in cluster.processes where other.isAlive && other.connections.contains(mailbox) {
      other.connections.remove(mailbox)
      if hasFaults, happens(cluster.scenario.silentDeathPerMille, of: 1_000) { continue }
      time.schedule(after: .milliseconds(chance.nextInt(in: 0..<30))) {
        other.connectionLost(to: mailbox)
      }
    }
  }

  func part(_ first: String, _ second: String, for duration: Duration) {
    partitions[[first, second]] = time.now + duration
    cluster.log.note(
      "network", "\(first) and \(second) are parted for \(duration.wholeMilliseconds) ms")
  }

  func heal() {
    partitions = [:]
    hasFaults = false
  }

  /// Encodes an envelope once and sends it to all of the mailboxes, in fragments if it is larger
  /// than one frame.
  func send(
    _ envelope: Envelope, to mailboxes: [String], _ lane: Lane, from process: SimulatedProcess
  ) {
    do {
      let packed = try envelope.encoded()
      var frames = [packed]
      if packed.count > process.machine.limits.frameBytes {
        let pieces = try Reassembly.split(packed, of: envelope, limits: process.machine.limits)
        frames = try pieces.map { try $0.encoded() }
      }
      for frame in frames {
        cluster.log.absorb(frame)
        for mailbox in mailboxes {
          transmit(frame, of: envelope, to: mailbox, lane, from: process)
        }
      }
    } catch {
      cluster.violation("\(process.id) cannot send an envelope: \(error)")
    }
  }

  private func transmit(
    _ frame: [UInt8], of envelope: Envelope, to mailbox: String, _ lane: Lane,
    from process: SimulatedProcess
  ) {
    frames += 1
    if cluster.logsFrames {
      let kind = "\(envelope.body)".prefix { $0 != "(" }
      process.note(
        "sends \(mailbox) \(envelope.shape) \(envelope.messageID): \(kind), \(frame.count) bytes, "
          + "log digest \(String(cluster.log.digest, radix: 16))")
    }
    let link = Link(sender: process.id, mailbox: mailbox, isControl: lane == .control)
    let arrival = max(
      time.now + .microseconds(chance.nextInt(in: 50..<delayBound)), lastArrival[link] ?? .zero)
    lastArrival[link] = arrival
    if isParted(process.id.name, mailbox)
      || hasFaults && happens(cluster.scenario.lossPerTenThousand, of: 10_000)
    {
      lost += 1
      return
    }
    time.schedule(at: arrival) { [unowned self] in
      // Frames for a dead process are lost.
      receivers[mailbox]?.received(frame)
    }
  }

  private var delayBound: Int { Int(cluster.scenario.maximumDelay.microsecondsRoundedUp) }

  private func isParted(_ sender: String, _ mailbox: String) -> Bool {
    guard !partitions.isEmpty, let receiver = receivers[mailbox]?.id.name else { return false }
    return partitions[[sender, receiver]].map { time.now < $0 } ?? false
  }

  private func happens(_ count: Int, of all: Int) -> Bool {
    count > 0 && chance.nextInt(in: 0..<all) < count
  }
}
