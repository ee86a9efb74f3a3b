import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct StopCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stop",
    abstract: "Stop the cluster of this machine; requests in flight are finished.",
    discussion: """
        tutti stop
        tutti stop --timeout 120
        tutti stop --now

      Exit status 69 if no cluster runs with the data directory, 75 if it still drains after the \
      timeout.
      """)

  @Option(
    help: ArgumentHelp(
      "Data directory of the cluster.",
      discussion: "Default: TUTTI_DATA_DIR, else $XDG_DATA_HOME/tutti or ~/.local/share/tutti."),
    completion: .directory)
  var dataDir: String?

  @Option(help: "Maximum wait for the end, in seconds. The cluster drains on after it.")
  var timeout = 30

  @Flag(help: "Kill every process at once; requests in flight break off.")
  var now = false

  /// Interval between looks at the lock of the data directory.
  private static let interval = Duration.milliseconds(100)

  func validate() throws {
    // A day is far longer than any drain.
    guard (0...86_400).contains(timeout) else {
      throw ValidationError("--timeout is a number of seconds from 0 to 86400, not \(timeout)")
    }
  }

  func run() async throws {
    let directory = ClusterClient.directory(
      flag: dataDir, environment: ProcessInfo.processInfo.environment)
    let pid: pid_t
    switch try DataDirectoryLock.holder(of: directory) {
    case .free:
      throw ProcessFailure(.unavailable, "no cluster runs with the data directory \(directory)")
    case .starting:
      throw ProcessFailure(
        .tryLater, "a cluster with the data directory \(directory) is just starting; try again")
    case .process(let holder): pid = holder
    }
    try ask(pid)
    let clock = ContinuousClock()
    let end = clock.now + .seconds(timeout)
    while try DataDirectoryLock.holder(of: directory) == .process(pid) {
      guard clock.now < end else {
        throw ProcessFailure(
          .tryLater,
          "the cluster (pid \(pid)) still drains after \(timeout) s; "
            + "`tutti stop --now` kills its processes")
      }
      try await Task.sleep(for: Self.interval)
    }
    Terminal.progress("the cluster (pid \(pid)) has stopped")
  }

  /// Asks `tutti up` to drain. If it is gone, its services drain already, because their lifeline
  /// has ended.
  private func ask(_ pid: pid_t) throws(ProcessFailure) {
    // `tutti up` kills its children at the second signal. Two signals of one kind may arrive as
    // one, so the second is of the other kind.
    for signal in [SIGTERM] + (now ? [SIGINT] : []) {
      guard kill(pid, signal) != 0, errno != ESRCH else { continue }
      throw ProcessFailure(
        .failed, "`tutti up` (pid \(pid)) cannot be stopped (\(ChildProcess.errorText(errno)))")
    }
  }
}
