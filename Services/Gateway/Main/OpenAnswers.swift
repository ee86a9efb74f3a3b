import ClusterModel
import Synchronization

/// The answers that are on their way, so that each can be ended with a word before the end of the
/// process cuts it off without one.
final class OpenAnswers: Sendable {
  /// Before the process cancels what is left: enough for a line to each client.
  static func margin(of drain: Duration) -> Duration { min(.milliseconds(500), drain / 4) }

  static let ended = Failure(
    .shuttingDown, "the gateway is shutting down and the answer was not done in time; ask again",
    retryAfter: .seconds(1))

  /// One of them; it leaves at the latest when nobody holds this.
  final class Place: Sendable {
    private let number: Int
    private let answers: OpenAnswers

    fileprivate init(_ number: Int, _ answers: OpenAnswers) {
      self.number = number
      self.answers = answers
    }

    deinit { leave() }

    func leave() { _ = answers.state.withLock { $0.cancels.removeValue(forKey: number) } }
  }

  private struct State {
    var isOver = false
    var last = 0
    var cancels: [Int: @Sendable () -> Void] = [:]
  }

  private let state = Mutex(State())

  /// - Parameter cancel: ends the answer; called at once when it is too late for another.
  func enter(_ cancel: @escaping @Sendable () -> Void) -> Place {
    let (number, isOver) = state.withLock { state in
      state.last += 1
      if !state.isOver { state.cancels[state.last] = cancel }
      return (state.last, state.isOver)
    }
    if isOver { cancel() }
    return Place(number, self)
  }

  func endAll() {
    let cancels = state.withLock { state in
      state.isOver = true
      defer { state.cancels = [:] }
      return Array(state.cancels.values)
    }
    for cancel in cancels { cancel() }
  }

  /// Why an answer ended, where it was we who cancelled it.
  func explained(_ failure: Failure) -> Failure {
    failure.code == .cancelled && state.withLock(\.isOver) ? Self.ended : failure
  }

  /// What `work` gives, unless all answers are ended first.
  func whileOpen<Value: Sendable>(
    _ work: @escaping @Sendable () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let (over, end) = AsyncStream.makeStream(of: Never.self)
    let place = enter { end.finish() }
    defer { place.leave() }
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
      throw explained(Failure(.cancelled, "the client has left"))
    }
    return try result.get()
  }
}
