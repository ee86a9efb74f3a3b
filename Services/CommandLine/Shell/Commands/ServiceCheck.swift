import ClusterModel
import CommandLineCore
import Dispatch
import Foundation

/// Makes every service check its settings before any service is started.
/// Only a service itself knows which settings it has.
enum ServiceCheck {
  /// - Parameter file: path of the configuration file as the user gave it, so that all services
  ///   report the same mistake in the same words. `nil` means no file.
  /// - Returns: the mistakes, one per line. A service that cannot be run reports none. Its start
  ///   will show the reason.
  static func mistakes(
    in directory: String, file: String?, environment: [String: String]
  ) async -> [String] {
    let arguments = ["--check-config"] + (file.map { ["--config", $0] } ?? [])
    var variables = environment
    for name in UpConfiguration.ownVariables.union(UpConfiguration.overruled) {
      variables[name] = nil
    }
    return await withTaskGroup(of: (Int, [String]).self) { group in
      for (index, service) in ServiceName.all.enumerated() {
        let executable = "\(directory)/tutti-\(service)"
        group.addTask { [variables] in
          (index, await answer(of: executable, arguments, variables))
        }
      }
      var answers = [[String]](repeating: [], count: ServiceName.all.count)
      for await (index, lines) in group { answers[index] = lines }
      return answers.flatMap { $0 }
    }
  }

  private static func answer(
    of executable: String, _ arguments: [String], _ variables: [String: String]
  ) async -> [String] {
    await withCheckedContinuation { answered in
      // Reading blocks, so it runs on a Dispatch thread and not on a thread that Swift tasks share.
      DispatchQueue.global().async {
        answered.resume(returning: ask(executable, arguments, variables))
      }
    }
  }

  private static func ask(
    _ executable: String, _ arguments: [String], _ variables: [String: String]
  ) -> [String] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.environment = variables
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    let errors = Pipe()
    process.standardError = errors
    guard (try? process.run()) != nil else { return [] }
    let errorOutput = (try? errors.fileHandleForReading.readToEnd()) ?? Data()
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == ExitStatus.usage.rawValue
    else { return [] }
    // The last line counts the mistakes and names the help.
    return String(decoding: errorOutput, as: UTF8.self).split(separator: "\n").dropLast().map(
      String.init)
  }
}
