import Foundation
import Synchronization

/// A running executable of this package, or a script.
///
/// @unchecked: `process` is configured before `init` returns and then only read for its id; all
/// mutable state is in `state`.
final class RunningProcess: @unchecked Sendable {
  private struct State {
    var status: Int32?
    var waiting: [CheckedContinuation<Int32, Never>] = []
  }

  let pid: pid_t
  private let process: Process
  /// Standard input of the child. Only this process holds the write end, so the child reads end of
  /// file if the test's process ends for any reason. `nil` means no lifeline.
  private let lifeline: Pipe?
  private let outputFile: URL
  private let errorFile: URL
  private let state = Mutex(State())

  /// - Parameters:
  ///   - directory: receives the output files.
  ///   - hasLifeline: whether standard input is a pipe that ends with this process.
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
    // Remove the developer's own `TUTTI_` settings, which would configure the cluster under test.
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
      // A signal is reported as in a shell: 128 plus its number.
      let status =
        process.terminationReason == .uncaughtSignal
        ? 128 + process.terminationStatus : process.terminationStatus
      ended.tell(status)
    }
    try process.run()
    // Close the files now, because Foundation never releases a process, and `Process.run` crashes
    // at about 1,300 open files.
    for file in files { try? file.close() }
    try? lifeline?.fileHandleForReading.close()
    pid = process.processIdentifier
    ended.listen { [weak self] status in self?.ended(status) }
  }

  /// Passes the exit status to a listener that may be set before or after the exit.
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
      // This is called twice if the process ends while the listener is being set.
      guard state.status == nil else { return [CheckedContinuation<Int32, Never>]() }
      state.status = status
      return state.waiting
    }
    for continuation in waiting { continuation.resume(returning: status) }
  }

  /// Exit status; `nil` means that the process is still running.
  var status: Int32? { state.withLock(\.status) }

  /// Waits for the exit status; 128 plus the signal number if a signal ended the process.
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

  /// Closes the lifeline, as if the test's process had ended.
  func cutLifeline() { try? lifeline?.fileHandleForWriting.close() }

  var output: String { (try? String(contentsOf: outputFile, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOf: errorFile, encoding: .utf8)) ?? "" }
}

/// Exit status and output of a finished process.
struct Outcome: Sendable, CustomStringConvertible {
  let status: Int32
  let output: String
  let errors: String

  /// Whether the output contains letters, not only line ends.
  var hasText: Bool { output.contains(where: \.isLetter) }

  var description: String { "status \(status)\n\(output)\n\(errors)" }
}

/// A temporary directory that is deleted with its owner.
final class TemporaryDirectory: Sendable {
  let url: URL
  var path: String { url.path }

  init() throws {
    // The path is short, because socket paths are limited to about 100 bytes. Tests of long paths
    // create their own.
    url = URL(fileURLWithPath: "/tmp/tutti-test-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}

/// The executables of this package, and the other programs that tests run.
enum Programs {
  /// The directory of the executables; SwiftPM puts them next to the tests.
  static let directory = URL(fileURLWithPath: Bundle.main.executablePath ?? "")
    .resolvingSymlinksInPath().deletingLastPathComponent().path

  static func path(_ name: String) -> String { directory + "/" + name }

  static let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  private static let root = here.deletingLastPathComponent().deletingLastPathComponent()

  /// A Python with the `openai` package; `make setup` creates it.
  static let python =
    ProcessInfo.processInfo.environment["TUTTI_TEST_PYTHON"]
    ?? root.appending(path: ".venv-test/bin/python").path

  /// A Python with the client libraries that need another `openai` version than `python` has.
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
