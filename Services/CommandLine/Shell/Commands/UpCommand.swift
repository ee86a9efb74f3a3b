import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct UpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Start every service on this machine, each as a process of its own.",
    discussion: """
      Starts the registry, the monitor, the planner, the dispatcher, six agents and the gateway, \
      and local servers of the embedded model if no host and no model is named. Prints the \
      addresses when it can answer. Ctrl-C \
      drains: requests in flight are finished. Ctrl-C once more kills.

        tutti up
        tutti up --port 9000 --data-dir /tmp/try
        tutti up --host http://127.0.0.1:11434 --host http://10.0.0.7:8000
        tutti up --model qwen=~/models/qwen2.5-7b-instruct-q4_k_m.gguf
        tutti up --detach

      A process that ends is started again. The output of each is in logs/ in the data directory, \
      with --detach also that of this command, in up.log.
      """)

  @OptionGroup var flags: UpFlags

  func run() async throws {
    let environment = ProcessInfo.processInfo.environment
    let configuration = try await checkedConfiguration(environment)
    if flags.checkConfig {
      Terminal.text(configuration.effective)
      return
    }
    if flags.detach {
      let start = DetachedStart(
        dataDirectory: absolutePath(configuration.dataDirectory),
        arguments: ["up"] + flags.arguments)
      return try await start.run()
    }
    let cluster = try await buildCluster(configuration, environment: environment)
    let status = try await cluster.run(
      lifeline: environment["TUTTI_LIFELINE_FD"].flatMap { Int32($0) })
    if status != .done { Foundation.exit(status.rawValue) }
  }

  /// - Throws: every mistake, including those in the sections of the services, so that no process
  ///   is started that would end at once.
  private func checkedConfiguration(
    _ environment: [String: String]
  ) async throws -> UpConfiguration {
    var mistakes: [String] = []
    var configuration: UpConfiguration?
    do {
      configuration = try UpConfiguration(flags, environment: environment)
    } catch {
      guard error.status == .usage else { throw error }
      mistakes = error.message.split(separator: "\n").map(String.init)
    }
    let found = await ServiceCheck.mistakes(
      in: try binDirectory(), file: configuration?.configFile ?? flags.config,
      environment: environment)
    // Every service reports a mistake in a shared section, so the same mistake is shown once.
    for mistake in found where !mistakes.contains(mistake) { mistakes.append(mistake) }
    guard let configuration, mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    return configuration
  }
}
