import BusCore
public import ClusterModel
import ServiceLifecycle
import Synchronization
import Wire

/// A caller that waits until services are live.
struct PeerWaiter: Sendable {
  let id: UInt64
  let services: [ServiceName]
  let deadline: Instant
  let continuation: CheckedContinuation<Failure?, Never>
}

extension Bus {
  /// Interval between checks of deadlines and heartbeats while requests are in flight.
  static let tickInterval: Duration = .milliseconds(20)
  /// Interval between the checks while nothing is in flight.
  static let idleTickInterval: Duration = .milliseconds(100)
  /// How long queued frames may still be sent after all else has ended.
  static let closingGrace: Duration = .milliseconds(500)

  /// Binds the mailbox, renews the lease and runs the handlers.
  ///
  /// Graceful shutdown refuses new requests, lets handlers finish within
  /// `BusConfiguration.drainGrace`, sends a goodbye, awaits the answer and closes. Cancellation
  /// closes immediately.
  public func run() async throws {
    try transport.start { [self] event in receive(event) }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.tickUntilCancelled() }
      group.addTask { await self.runHandlers() }
      do {
        try await gracefulShutdown()
        await drain()
      } catch {
        // The Swift task was cancelled, so the bus closes immediately, without a goodbye.
      }
      perform(state.withLock { $0.machine.cancelHandlers() })
      failEverything()
      jobQueue.finish()
      group.cancelAll()
    }
    await transport.stop(grace: Self.closingGrace)
  }

  private func receive(_ event: TransportEvent) {
    switch event {
    case .frame(let bytes, let seal):
      do {
        let envelope = try Envelope(decoding: bytes)
        perform(
          state.withLock {
            $0.machine.received(envelope, bytes: bytes.count, from: seal, now: now)
          })
      } catch {
        count(error.reason)
      }
    case .lost(let mailbox):
      perform(state.withLock { $0.machine.connectionLost(to: mailbox, now: now) })
    case .dropped(let reason): count(reason)
    }
  }

  private func tickUntilCancelled() async {
    while !Task.isCancelled {
      let (directives, busy) = state.withLock { state in
        (state.machine.tick(now: now), state.machine.isBusy)
      }
      perform(directives)
      answerPeerWaiters()
      try? await Task.sleep(for: busy ? Self.tickInterval : Self.idleTickInterval)
    }
  }

  // MARK: - Handlers

  private func runHandlers() async {
    await withDiscardingTaskGroup { group in
      for await job in jobs {
        group.addTask { await self.handle(job) }
      }
    }
  }

  private func handle(_ job: Job) async {
    switch job {
    case .call(let key, let request, let signal):
      let handler = state.withLock(\.handlers.call)
      let result = await untilSignalled(signal) { () -> Result<Body, Failure> in
        guard let handler else { return .failure(Self.unhandled(request)) }
        do throws(Failure) {
          return .success(try await handler(request))
        } catch {
          return .failure(error)
        }
      }
      perform(
        state.withLock { state in
          state.running[key] = nil
          return state.machine.reply(key, result)
        })
    case .stream(let key, let request, let signal):
      let handler = state.withLock(\.handlers.stream)
      let writer = StreamWriter(key: key, bus: self)
      let failure = await untilSignalled(signal) { () -> Failure? in
        guard let handler else { return Self.unhandled(request) }
        do throws(Failure) {
          try await handler(request, writer)
          return nil
        } catch {
          return error
        }
      }
      perform(
        state.withLock { state in
          state.running[key] = nil
          return state.machine.finish(key, failure)
        })
    case .cast(let body, let sender):
      if let handler = state.withLock(\.handlers.cast) {
        await handler(body, sender)
      } else {
        count("unhandled")
      }
      state.withLock { $0.casts.end(sender) }
    }
  }

  private static func unhandled(_ request: BusRequest) -> Failure {
    Failure(.unhandled, "this service does not answer such a message")
  }

  /// Runs the work in a Swift task of its own, which is cancelled at the signal.
  private func untilSignalled<R: Sendable>(
    _ signal: CancelSignal, _ work: @escaping @Sendable () async -> R
  ) async -> R {
    await withTaskGroup(of: R?.self) { group in
      group.addTask { await work() }
      group.addTask {
        await signal.wait()
        return nil
      }
      var result: R?
      while let outcome = await group.next() {
        group.cancelAll()
        if let outcome { result = outcome }
      }
      guard let result else { preconditionFailure("the work returned nothing") }
      return result
    }
  }

  // MARK: - Waiting for peers

  /// Returns when each of the services has a live process.
  /// - Throws: `noPeer` at the deadline, `cancelled` if the caller's Swift task is cancelled.
  public func waitForPeers(
    _ services: [ServiceName], deadline: Duration
  ) async throws(Failure) {
    let id = state.withLock { $0.machine.reserveID() }
    let failure = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        state.withLock { state in
          state.peerWaiters.append(
            PeerWaiter(
              id: id, services: services, deadline: now + deadline, continuation: continuation))
        }
        // A cancellation before the waiter was added did not find it, so check again.
        if Task.isCancelled { cancelPeerWaiter(id) }
        answerPeerWaiters()
      }
    } onCancel: {
      cancelPeerWaiter(id)
    }
    if let failure { throw failure }
  }

  private func cancelPeerWaiter(_ id: UInt64) {
    let waiter = state.withLock { state -> PeerWaiter? in
      guard let index = state.peerWaiters.firstIndex(where: { $0.id == id }) else { return nil }
      return state.peerWaiters.remove(at: index)
    }
    waiter?.continuation.resume(returning: Self.cancelled)
  }

  func answerPeerWaiters() {
    let answered = state.withLock { state -> [(PeerWaiter, Failure?)] in
      guard !state.peerWaiters.isEmpty else { return [] }
      let time = now
      var answered: [(PeerWaiter, Failure?)] = []
      state.peerWaiters.removeAll { waiter in
        let missing = waiter.services.filter { state.machine.directory.live($0).isEmpty }
        if missing.isEmpty {
          answered.append((waiter, nil))
        } else if waiter.deadline <= time {
          let names = missing.map(\.description).joined(separator: ", ")
          answered.append((waiter, Failure(.noPeer, "not running yet: \(names)")))
        } else {
          return false
        }
        return true
      }
      return answered
    }
    for (waiter, failure) in answered { waiter.continuation.resume(returning: failure) }
  }

  // MARK: - Leaving

  private func drain() async {
    state.withLock { $0.machine.beginDraining() }
    let end = now + configuration.drainGrace
    while state.withLock({ $0.machine.handlersRunning }) > 0, now < end {
      try? await Task.sleep(for: Self.tickInterval)
    }
    perform(state.withLock { $0.machine.cancelHandlers() })
    await withDiscardingTaskGroup { group in
      for peer in state.withLock(\.machine.answeredPeers) {
        group.addTask {
          let id = self.state.withLock { $0.machine.reserveID() }
          _ = try? await self.outcome(of: id) { machine, now in
            machine.barrier(id, to: peer, now: now)
          }
        }
      }
    }
    guard configuration.service != .registry else { return }
    let id = state.withLock { $0.machine.reserveID() }
    _ = try? await outcome(of: id) { machine, now in machine.goodbye(id, now: now) }
  }

  /// Fails all calls, streams and waiters that are still pending.
  private func failEverything() {
    let failure = Failure(.shuttingDown, "\(peer.id.name) has shut down")
    let (calls, streams, waiters) = state.withLock { state in
      defer {
        state.calls = [:]
        state.streams = [:]
        state.peerWaiters = []
      }
      return (state.calls, state.streams, state.peerWaiters)
    }
    for call in calls.values { call.resume(returning: .failure(failure)) }
    for stream in streams.values { stream.end(failure) }
    for waiter in waiters { waiter.continuation.resume(returning: failure) }
  }
}
