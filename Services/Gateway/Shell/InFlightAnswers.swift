import ClusterModel
import Synchronization

/// The registry of answers in progress. At shutdown it ends each with an error message, before the
/// process cancels it.
final class InFlightAnswers: Sendable {
  /// Time before the process exits at which answers are ended: enough to send each client one line.
  static func margin(of drain: Duration) -> Duration { min(.milliseconds(500), drain / 4) }

  static let ended = Failure(
    .shuttingDown, "the gateway is shutting down and the answer was not done in time; ask again",
    retryAfter: .seconds(1))

  /// The entry of one answer. It unregisters itself on deinit.
  final class Registration: Sendable {
    private let number: Int
    private let answers: InFlightAnswers

    fileprivate init(_ number: Int, _ answers: InFlightAnswers) {
      self.number = number
      self.answers = answers
    }

    deinit { unregister() }

    func unregister() { _ = answers.state.withLock { $0.cancels.removeValue(forKey: number) } }
  }

  private struct State {
    var isOver = false
    var last = 0
    var cancels: [Int: @Sendable () -> Void] = [:]
  }

  private let state = Mutex(State())

  /// - Parameter cancel: ends the answer; called at once if all answers were already ended.
  func register(cancel: @escaping @Sendable () -> Void) -> Registration {
    let (number, isOver) = state.withLock { state in
      state.last += 1
      if !state.isOver { state.cancels[state.last] = cancel }
      return (state.last, state.isOver)
    }
    if isOver { cancel() }
    return Registration(number, self)
  }

  func endAll() {
    let cancels = state.withLock { state in
      state.isOver = true
      defer { state.cancels = [:] }
      return Array(state.cancels.values)
    }
    for cancel in cancels { cancel() }
  }

  /// Replaces a cancellation that the gateway caused with the shutdown failure.
  func explained(_ failure: Failure) -> Failure {
    failure.code == .cancelled && state.withLock(\.isOver) ? Self.ended : failure
  }

  /// Returns the result of `work`, unless all answers are ended first.
  func whileOpen<Value: Sendable>(
    _ work: @escaping @Sendable () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let (over, end) = AsyncStream.makeStream(of: Never.self)
    let registration = register { end.finish() }
    defer { registration.unregister() }
    let result = await withTaskGroup(of: Result<Value, Failure>?.self) { group in
      group.addTask {
        do throws(Failure) { return .success(try await work()) } catch { return .failure(error) }
      }
      group.addTask {
        for await _ in over {}
        return nil
      }
      let first = await group.next()
      group.cancelAll()
      return first ?? nil
    }
    guard let result else {
      throw explained(.clientLeft)
    }
    return try result.get()
  }
}
