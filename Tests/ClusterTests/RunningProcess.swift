import Foundation
import Synchronization

/// An executable of ours, or a script, while it runs.
///
/// @unchecked: `process` is configured before `init` returns and then only asked for its id;
/// everything that changes is in `state`.
final class RunningProcess: @unchecked Sendable {
  private struct State {
    var status: Int32?
    var waiting: [CheckedContinuation<Int32, Never>] = []
  }

  let pid: pid_t
  private let process: Process
  /// Its write end is ours alone: when the test's process goes, however it goes, the child reads
  /// the end of its lifeline. `nil` means that it has none.
  private let lifeline: Pipe?
  private let outputFile: URL
  private let errorFile: URL
  private let state = Mutex(State())

  /// - Parameters:
  ///   - directory: gets the files that its output goes to.
  ///   - hasLifeline: its standard input is a pipe that ends with us.
  init(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:],
    in directory: TemporaryDirectory, hasLifeline: Bool = false
  ) throws {
    let name = "\(executable.split(separator: "/").last ?? "process")-\(UUID().uuidString)"
    outputFile = directory.url.appending(path: name + ".out")
    errorFile = directory.url.appending(path: name + ".err")
    for file in [outputFile, errorFile] { try Data().write(to: file) }
    process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    // What the one who runs the tests has set for a cluster of their own must not get in.
    var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("TUTTI_") }
    variables["TUTTI_MODEL_ENV"] = ProcessInfo.processInfo.environment["TUTTI_MODEL_ENV"]
    variables.merge(environment) { _, new in new }
    lifeline = hasLifeline ? Pipe() : nil
    if let lifeline {
      process.standardInput = lifeline
      variables["TUTTI_LIFELINE_FD"] = "0"
    } else {
      process.standardInput = FileHandle.nullDevice
    }
    process.environment = variables
    let files = try [outputFile, errorFile].map { try FileHandle(forWritingTo: $0) }
    process.standardOutput = files[0]
    process.standardError = files[1]
    let ended = Ended()
    process.terminationHandler = { process in
      // A signal as a shell shows it.
      let status =
        process.terminationReason == .uncaughtSignal
        ? 128 + process.terminationStatus : process.terminationStatus
      ended.tell(status)
    }
    try process.run()
    // Foundation keeps a process for ever, and its Process.run crashes with some 1,300 open files.
    for file in files { try? file.close() }
    try? lifeline?.fileHandleForReading.close()
    pid = process.processIdentifier
    ended.listen { [weak self] status in self?.ended(status) }
  }

  /// Hands the status over to whoever asks first or later.
  private final class Ended: Sendable {
    private let state = Mutex<(status: Int32?, listener: (@Sendable (Int32) -> Void)?)>((nil, nil))

    func tell(_ status: Int32) {
      let listener = state.withLock { state in
        state.status = status
        return state.listener
      }
      listener?(status)
    }

    func listen(_ listener: @escaping @Sendable (Int32) -> Void) {
      let status = state.withLock { state in
        state.listener = listener
        return state.status
      }
      if let status { listener(status) }
    }
  }

  private func ended(_ status: Int32) {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      // Told twice when it ends between the two looks.
      guard state.status == nil else { return [CheckedContinuation<Int32, Never>]() }
      state.status = status
      return state.waiting
    }
    for continuation in waiting { continuation.resume(returning: status) }
  }

  /// nil while it runs.
  var status: Int32? { state.withLock(\.status) }

  /// Its exit status; 128 and the signal's number if a signal ended it.
  func exit() async -> Int32 {
    await withCheckedContinuation { continuation in
      let status = state.withLock { state -> Int32? in
        if state.status == nil { state.waiting.append(continuation) }
        return state.status
      }
      if let status { continuation.resume(returning: status) }
    }
  }

  func signal(_ number: Int32) { _ = kill(pid, number) }

  /// As if the process of the tests were gone.
  func cutLifeline() { try? lifeline?.fileHandleForWriting.close() }

  var output: String { (try? String(contentsOf: outputFile, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOf: errorFile, encoding: .utf8)) ?? "" }
}

/// What a process that ended left behind.
struct Outcome: Sendable, CustomStringConvertible {
  let status: Int32
  let output: String
  let errors: String

  /// Words, not only line ends.
  var hasText: Bool { output.contains(where: \.isLetter) }

  var description: String { "status \(status)\n\(output)\n\(errors)" }
}

/// A directory that is gone with its owner.
final class TemporaryDirectory: Sendable {
  let url: URL
  var path: String { url.path }

  init() throws {
    // Short: sockets have paths of at most about 100 bytes, and tests of long ones make their own.
    url = URL(fileURLWithPath: "/tmp/tutti-test-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}

/// The executables of this package and what the tests run besides.
enum Programs {
  /// Where SwiftPM puts the executables: beside the tests.
  static let directory = URL(fileURLWithPath: Bundle.main.executablePath ?? "")
    .resolvingSymlinksInPath().deletingLastPathComponent().path

  static func path(_ name: String) -> String { directory + "/" + name }

  static let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  private static let root = here.deletingLastPathComponent().deletingLastPathComponent()

  /// A Python with the `openai` package: `make setup` makes one.
  static let python =
    ProcessInfo.processInfo.environment["TUTTI_TEST_PYTHON"]
    ?? root.appending(path: ".venv-test/bin/python").path

  /// A Python with the client libraries that need another `openai` than `python` has.
  static let clientsPython =
    ProcessInfo.processInfo.environment["TUTTI_CLIENTS_PYTHON"]
    ?? root.appending(path: ".venv-clients/bin/python").path

  static let benchmarks = root.appending(path: "Benchmarks")

  static func run(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:],
    in directory: TemporaryDirectory
  ) async throws -> Outcome {
    let process = try RunningProcess(
      executable, arguments, environment: environment, in: directory)
    let status = await process.exit()
    return Outcome(status: status, output: process.output, errors: process.errors)
  }

  static func script(
    _ name: String, _ arguments: [String], in directory: TemporaryDirectory
  ) async throws -> Outcome {
    try await run(python, [here.appending(path: name).path] + arguments, in: directory)
  }
}
