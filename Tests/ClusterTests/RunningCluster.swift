import AsyncHTTPClient
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

/// A cluster of real processes, started with `tutti up`.
final class RunningCluster: Sendable {
  /// The hosts that answer.
  enum Hosts: Sendable {
    /// The embedded model servers.
    case embedded
    case faulty([FaultyHost])
  }

  let directory: TemporaryDirectory
  let dataDirectory: String
  let process: RunningProcess
  let port: Int
  let hosts: Hosts

  var gateway: String { "http://127.0.0.1:\(port)" }
  var registry: String { "http://127.0.0.1:\(port + 1)" }
  var monitor: String { "http://127.0.0.1:\(port + 2)" }
  /// The planner's metrics address. Only the planner is configured with `http`.
  var planner: String { "http://127.0.0.1:\(port + 3)" }

  private init(
    _ directory: TemporaryDirectory, dataDirectory: String, _ process: RunningProcess, port: Int,
    hosts: Hosts
  ) {
    self.directory = directory
    self.dataDirectory = dataDirectory
    self.process = process
    self.port = port
    self.hosts = hosts
  }

  /// - Parameters:
  ///   - executables: the directory of `tutti`, which starts the services next to it.
  ///   - dataDirectory: `nil` means a directory with a short path.
  ///   - settings: additional lines of the configuration file.
  static func start(
    _ hosts: Hosts, executables: String = Programs.directory, dataDirectory: String? = nil,
    settings: String = "",
    environment: [String: String] = [:]
  ) async throws -> RunningCluster {
    let directory = try TemporaryDirectory()
    let data = dataDirectory ?? directory.path + "/data"
    // If the port is taken, `tutti up` reports it and exits. Then another port is tried.
    for _ in 1...10 {
      // These ports are below the range from which the kernel takes ports for outgoing connections.
      let port = Int.random(in: 2_000...3_100) * 10
      let file = directory.path + "/tutti.yaml"
      try "planner:\n  http: 127.0.0.1:\(port + 3)\n\(settings)".write(
        toFile: file, atomically: true, encoding: .utf8)
      var arguments = ["up", "--port", "\(port)", "--data-dir", data, "--config", file]
      if case .faulty(let hosts) = hosts {
        for host in hosts { arguments += ["--host", host.url] }
      }
      let process = try RunningProcess(
        executables + "/tutti", arguments, environment: environment, in: directory,
        hasLifeline: true)
      let cluster = RunningCluster(
        directory, dataDirectory: data, process, port: port, hosts: hosts)
      let isUp = try await eventually("the cluster is up", within: .seconds(240)) {
        () -> Bool? in
        if process.status != nil { return false }
        return process.output.contains("access ") ? true : nil
      }
      if isUp { return cluster }
      guard process.errors.contains("taken") else {
        throw TooLate(description: "tutti up ended: \(process.errors)")
      }
    }
    throw TooLate(description: "no free ports were found")
  }

  /// Drains the cluster and waits until all its processes have ended.
  func stop() async throws {
    process.signal(SIGTERM)
    let status = await process.exit()
    #expect(status == 0, "\(process.errors)")
  }

  func tutti(_ arguments: String..., environment: [String: String] = [:]) async throws -> Outcome {
    try await Programs.run(
      Programs.path("tutti"), arguments,
      environment: ["TUTTI_DATA_DIR": dataDirectory]
        .merging(environment) { _, new in new }, in: directory)
  }

  /// The token of the registry's admin API.
  func adminToken() throws -> String {
    try String(contentsOfFile: dataDirectory + "/admin-token", encoding: .utf8)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// - Returns: status and body.
  func get(
    _ url: String, token: String? = nil, timeout: TimeAmount = .seconds(60)
  ) async throws -> (status: Int, body: String) {
    var request = HTTPClientRequest(url: url)
    if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
    let response = try await HTTPClient.shared.execute(request, timeout: timeout)
    let body = try await response.body.collect(upTo: 64 << 20)
    return (Int(response.status.code), String(buffer: body))
  }

  // MARK: - Processes of the cluster

  struct ProcessLine: Sendable, Hashable {
    let pid: pid_t
    let parent: pid_t
    let command: String
  }

  /// All processes of this machine except zombies.
  func processes() async throws -> [ProcessLine] {
    let list = try await Programs.run("/bin/ps", ["-eo", "pid=,ppid=,stat=,args="], in: directory)
    return list.output.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
      guard fields.count == 4, let pid = pid_t(fields[0]), let parent = pid_t(fields[1]),
        !fields[2].hasPrefix("Z")
      else { return nil }
      return ProcessLine(pid: pid, parent: parent, command: String(fields[3]))
    }
  }

  /// Child processes by the name of their executable. Model servers have the name
  /// `embedded_host:PORT`.
  func children() async throws -> [String: pid_t] {
    var children: [String: pid_t] = [:]
    for line in try await processes() where line.parent == process.pid {
      let words = line.command.split(separator: " ").map(String.init)
      let program = words.first?.split(separator: "/").last.map(String.init) ?? line.command
      if let port = words.firstIndex(of: "--port"), line.command.contains("embedded_host.py") {
        children["embedded_host:" + words[port + 1]] = line.pid
      } else {
        children[program] = line.pid
      }
    }
    return children
  }
}

/// Starts a cluster for all tests of a suite, and stops it after the last.
struct ClusterTrait: SuiteTrait, TestScoping {
  let start: @Sendable () async throws -> RunningCluster

  @concurrent func provideScope(
    for test: Test, testCase: Test.Case?,
    performing function: @Sendable @concurrent () async throws -> Void
  ) async throws {
    let cluster = try await start()
    do {
      try await RunningCluster.$shared.withValue(cluster) { try await function() }
    } catch {
      try? await cluster.stop()
      throw error
    }
    try await cluster.stop()
  }
}

extension RunningCluster {
  @TaskLocal static var shared: RunningCluster?

  /// The cluster of the current suite.
  static func current() throws -> RunningCluster { try #require(shared) }
}

extension Trait where Self == ClusterTrait {
  static func cluster(_ start: @escaping @Sendable () async throws -> RunningCluster) -> Self {
    ClusterTrait(start: start)
  }
}

/// Contains all suites that start processes, so that only one cluster runs at a time.
@Suite("Real processes", .serialized)
enum ProcessTests {}
