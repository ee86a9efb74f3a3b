import BusCore
import ClusterModel
import Dispatch
import Foundation
import Synchronization

/// An in-process network with seeded loss, delay, duplication and reordering. One thread delivers
/// for all its mailboxes.
public final class LoopbackNetwork: Sendable {
  /// Rates of the simulated faults.
  public struct Faults: Sendable {
    /// Lost frames per 1,000.
    var lossPerMille = 0
    /// Duplicated frames per 1,000.
    var duplicatePerMille = 0
    /// Maximum random delay of a frame; different delays reorder frames.
    var maximumDelay: Duration = .zero

    public static let none = Faults()
    init() {}
  }

  /// Maximum bytes in transit to one mailbox, like the capacity of a nanomsg outbox.
  static let mailboxLimit = 32 << 20
  /// Bytes in transit to one mailbox above which telemetry frames are dropped.
  static let telemetryLimit = 8 << 20
  /// Maximum frame size in bytes, as over nanomsg.
  static let frameLimit = 1 << 20

  fileprivate struct Endpoint {
    var deliver: @Sendable (TransportEvent) -> Void
    /// Mailboxes whose loss is reported to this endpoint.
    var connected: Set<String> = []
  }

  fileprivate struct Parcel {
    var deliveryTime: ContinuousClock.Instant
    var order: UInt64
    var mailbox: String
    var event: TransportEvent
    var bytes: Int

    static func < (left: Parcel, right: Parcel) -> Bool {
      (left.deliveryTime, left.order) < (right.deliveryTime, right.order)
    }
  }

  fileprivate struct State {
    var faults: Faults
    var chance: UInt64
    var endpoints: [String: Endpoint] = [:]
    /// Frames for mailboxes that are not open yet; nanomsg also keeps them until it connects.
    var unopened: [String: [[UInt8]]] = [:]
    var queue: [Parcel] = []
    var underWay: [String: Int] = [:]
    var order: UInt64 = 0
    var isRunning = false

    /// Returns the next number of the SplitMix64 generator.
    mutating func random() -> UInt64 {
      chance &+= 0x9e37_79b9_7f4a_7c15
      var value = chance
      value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
      return value ^ (value >> 31)
    }

    mutating func happens(_ perMille: Int) -> Bool {
      perMille > 0 && random() % 1_000 < UInt64(perMille)
    }
  }

  private let state: Mutex<State>
  private let wake = DispatchSemaphore(value: 0)

  public init(seed: UInt64 = 1, faults: Faults = .none) {
    state = Mutex(State(faults: faults, chance: seed))
  }

  /// Changes the fault rates from now on.
  func set(_ faults: Faults) { state.withLock { $0.faults = faults } }

  /// Removes a mailbox without a goodbye, like `kill -9` of its process.
  func kill(_ mailbox: String) { close(mailbox) }

  /// Makes the transport of one process in this network.
  func endpoint(mailbox: String) -> LoopbackTransport {
    LoopbackTransport(network: self, mailbox: mailbox)
  }

  // MARK: - From the transports

  func open(
    _ mailbox: String, _ deliver: @escaping @Sendable (TransportEvent) -> Void
  ) throws(Failure) {
    let (taken, starts, early) = state.withLock { state -> (Bool, Bool, [[UInt8]]) in
      guard state.endpoints[mailbox] == nil else { return (true, false, []) }
      state.endpoints[mailbox] = Endpoint(deliver: deliver)
      defer { state.isRunning = true }
      return (false, !state.isRunning, state.unopened.removeValue(forKey: mailbox) ?? [])
    }
    guard !taken else {
      throw Failure(.internalError, "cannot bind \(mailbox): another process is using it")
    }
    if starts {
      let thread = Thread { [self] in deliverAll() }
      thread.name = "loopback"
      thread.start()
    }
    for frame in early {
      _ = post(.frame(frame, from: nil), frame.count, to: mailbox, faulty: true)
    }
  }

  func close(_ mailbox: String) {
    let connectedPeers = state.withLock { state -> [String] in
      guard state.endpoints.removeValue(forKey: mailbox) != nil else { return [] }
      return state.endpoints.filter { $0.value.connected.contains(mailbox) }.keys.sorted()
    }
    for other in connectedPeers { _ = post(.lost(mailbox: mailbox), 0, to: other, faulty: false) }
    wake.signal()
  }

  func connect(_ own: String, to mailbox: String) {
    state.withLock { state in
      guard state.endpoints[mailbox] != nil else { return }
      _ = state.endpoints[own]?.connected.insert(mailbox)
    }
  }

  func disconnect(_ own: String, from mailbox: String) {
    state.withLock { _ = $0.endpoints[own]?.connected.remove(mailbox) }
  }

  func send(_ frame: [UInt8], from own: String, to mailbox: String, lane: Lane) -> Bool {
    guard frame.count <= Self.frameLimit else {
      return post(.dropped(reason: "too_large"), 0, to: mailbox, faulty: false)
    }
    let room = state.withLock { state -> Bool? in
      guard state.endpoints[own] != nil else { return false }
      guard state.endpoints[mailbox] != nil else {
        // Keep a few frames, which may be hellos to a registry that is about to start.
        if state.unopened[mailbox, default: []].count < 16 {
          state.unopened[mailbox, default: []].append(frame)
        }
        return nil
      }
      _ = state.endpoints[own]?.connected.insert(mailbox)
      let limit = lane == .telemetry ? Self.telemetryLimit : Self.mailboxLimit
      return state.underWay[mailbox, default: 0] + frame.count <= limit
    }
    switch room {
    case nil: return true
    case false: return false
    default: return post(.frame(frame, from: nil), frame.count, to: mailbox, faulty: true)
    }
  }

  // MARK: - Delivery

  private func post(
    _ event: TransportEvent, _ bytes: Int, to mailbox: String, faulty: Bool
  ) -> Bool {
    state.withLock { state in
      let faults = faulty ? state.faults : .none
      guard !state.happens(faults.lossPerMille) else { return }
      for _ in 0..<(state.happens(faults.duplicatePerMille) ? 2 : 1) {
        var deliveryTime = ContinuousClock.now
        if faults.maximumDelay > .zero {
          deliveryTime += faults.maximumDelay * (Double(state.random() % 1_000) / 1_000)
        }
        state.order += 1
        state.underWay[mailbox, default: 0] += bytes
        state.insert(
          Parcel(
            deliveryTime: deliveryTime, order: state.order, mailbox: mailbox, event: event,
            bytes: bytes))
      }
    }
    wake.signal()
    return true
  }

  /// Main loop of the network's thread. It ends after the last mailbox closes.
  private func deliverAll() {
    while true {
      let (ready, next, isOver) = state.withLock { state in
        var ready: [(@Sendable (TransportEvent) -> Void, TransportEvent)] = []
        let now = ContinuousClock.now
        let count = state.queue.firstIndex { $0.deliveryTime > now } ?? state.queue.count
        for parcel in state.queue[..<count] {
          state.underWay[parcel.mailbox, default: 0] -= parcel.bytes
          if let endpoint = state.endpoints[parcel.mailbox] {
            ready.append((endpoint.deliver, parcel.event))
          }
        }
        state.queue.removeFirst(count)
        let isOver = state.endpoints.isEmpty && ready.isEmpty
        if isOver {
          state.isRunning = false
          state.queue = []
          state.underWay = [:]
        }
        return (ready, state.queue.first?.deliveryTime, isOver)
      }
      for (deliver, event) in ready { deliver(event) }
      if isOver { return }
      guard ready.isEmpty else { continue }
      if let next {
        let wait = max(.zero, ContinuousClock.now.duration(to: next))
        _ = wake.wait(timeout: .now() + wait.inSeconds)
      } else {
        wake.wait()
      }
    }
  }
}

extension LoopbackNetwork.State {
  /// Inserts in order of delivery; most parcels belong at the end.
  fileprivate mutating func insert(_ parcel: LoopbackNetwork.Parcel) {
    // Most parcels are the last.
    let isLast = queue.last.map { $0 < parcel } ?? true
    let index = isLast ? queue.endIndex : queue.partitioningIndex { !($0 < parcel) }
    queue.insert(parcel, at: index)
  }
}

/// The transport of one mailbox in a `LoopbackNetwork`.
final class LoopbackTransport: Transport {
  let mailbox: String
  let publicKey: [UInt8] = []
  private let network: LoopbackNetwork

  init(network: LoopbackNetwork, mailbox: String) {
    self.network = network
    self.mailbox = mailbox
  }

  func start(_ deliver: @escaping @Sendable (TransportEvent) -> Void) throws(Failure) {
    try network.open(mailbox, deliver)
  }

  func send(_ frame: [UInt8], to mailbox: String, lane: Lane) -> Bool {
    network.send(frame, from: self.mailbox, to: mailbox, lane: lane)
  }

  func connect(to mailbox: String) { network.connect(self.mailbox, to: mailbox) }
  func disconnect(from mailbox: String) { network.disconnect(self.mailbox, from: mailbox) }
  func seal(_ mailbox: String, for recipient: Recipient?) {}
  func stop(grace: Duration) async { network.close(mailbox) }
}
