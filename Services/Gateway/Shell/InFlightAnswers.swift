import Access
import ClusterModel
import Synchronization

/// All answers in progress in this gateway.
///
/// Before a shutdown cancels them, they end with an error message. A change of a key can also end
/// the answers of that key.
final class InFlightAnswers: Sendable {
  /// Time between the end of all answers and the exit of the process. It is long enough to send one
  /// line to each client.
  static func margin(of drain: Duration) -> Duration { min(.milliseconds(500), drain / 4) }

  static let ended = Failure(
    .shuttingDown, "the gateway is shutting down and the answer was not done in time; ask again",
    retryAfter: .seconds(1))

  /// Ends an answer. Its client gets the failure.
  typealias End = @Sendable (Failure) -> Void

  /// The registration of one answer. It ends on deinit at the latest.
  final class Registration: Sendable {
    private let number: Int
    private let answers: InFlightAnswers
    private let ending: Ending

    fileprivate init(_ number: Int, _ answers: InFlightAnswers, _ ending: Ending) {
      self.number = number
      self.answers = answers
      self.ending = ending
    }

    deinit { unregister() }

    func unregister() { answers.state.withLock { $0.remove(number) } }

    /// Returns the gateway's reason in place of a cancellation that the gateway caused.
    func explained(_ failure: Failure) -> Failure {
      failure.code == .cancelled ? ending.reason ?? failure : failure
    }
  }

  /// The gateway's reason for the end of one answer.
  fileprivate final class Ending: Sendable {
    private let failure = Mutex<Failure?>(nil)

    /// `nil` means that the gateway has not ended the answer.
    var reason: Failure? {
      get { failure.withLock(\.self) }
      set { failure.withLock { $0 = newValue } }
    }
  }

  private struct Answer {
    let key: KeyID?
    let ending: Ending
    let end: End

    func end(with failure: Failure) {
      ending.reason = failure
      end(failure)
    }
  }

  private struct State {
    var isOver = false
    var last = 0
    private(set) var answers: [Int: Answer] = [:]

    mutating func add(_ answer: Answer) { answers[last] = answer }

    mutating func remove(_ number: Int) { answers[number] = nil }

    mutating func take(_ key: KeyID) -> [Answer] {
      let numbers = answers.filter { $0.value.key == key }.keys
      return numbers.compactMap { answers.removeValue(forKey: $0) }
    }

    mutating func takeAll() -> [Answer] {
      defer { answers = [:] }
      return Array(answers.values)
    }
  }

  private let state = Mutex(State())

  /// - Parameters:
  ///   - key: the key of the request. `nil` means that the request needed none.
  ///   - end: ends the answer. If all answers were already ended, it is called at once.
  func register(key: KeyID? = nil, end: @escaping End) -> Registration {
    let answer = Answer(key: key, ending: Ending(), end: end)
    let (number, isOver) = state.withLock { state in
      state.last += 1
      if !state.isOver { state.add(answer) }
      return (state.last, state.isOver)
    }
    if isOver { answer.end(with: Self.ended) }
    return Registration(number, self, answer.ending)
  }

  /// Keys that have answers in progress. The search covers all answers, because it runs only about
  /// once a second.
  var keys: [KeyID] {
    state.withLock { state in Array(Set(state.answers.values.compactMap(\.key))) }
  }

  /// Ends the answers of a key.
  /// - Returns: number of these answers.
  func end(answersOf key: KeyID, with failure: Failure) -> Int {
    let answers = state.withLock { $0.take(key) }
    for answer in answers { answer.end(with: failure) }
    return answers.count
  }

  func endAll() {
    let answers = state.withLock { state in
      state.isOver = true
      return state.takeAll()
    }
    for answer in answers { answer.end(with: Self.ended) }
  }

  /// Returns the shutdown failure in place of a cancellation that the shutdown caused.
  func explained(_ failure: Failure) -> Failure {
    failure.code == .cancelled && state.withLock(\.isOver) ? Self.ended : failure
  }

  /// Returns the result of `work`. Throws if the gateway ends the answer first.
  func whileOpen<Value: Sendable>(
    key: KeyID? = nil, _ work: @escaping @Sendable () async throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    let (reasons, reason) = AsyncStream.makeStream(of: Failure.self)
    let registration = register(key: key) { failure in
      reason.yield(failure)
      reason.finish()
    }
    defer { registration.unregister() }
    let result = await withTaskGroup(of: Result<Value, Failure>?.self) { group in
      group.addTask {
        do throws(Failure) { return .success(try await work()) } catch { return .failure(error) }
      }
      group.addTask {
        for await failure in reasons { return .failure(failure) }
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
