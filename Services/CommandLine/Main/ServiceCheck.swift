import ClusterModel
import CommandLineCore
import Dispatch
import Foundation

/// Has every service check its part of the file and of the variables, before any is started: what
/// settings it has is its own business, and not known here.
enum ServiceCheck {
  /// - Parameter file: the configuration file as it was named, so that the same mistake reads the
  ///   same from everybody; nil: none.
  /// - Returns: the mistakes, one a line. A service that cannot be asked says nothing: its start
  ///   will tell why.
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
      // Reading waits, so it has a thread of its own kind, and not one that tasks share.
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
    let said = (try? errors.fileHandleForReading.readToEnd()) ?? Data()
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == ExitStatus.usage.rawValue
    else { return [] }
    // Its last line counts its mistakes and names its help.
    return String(decoding: said, as: UTF8.self).split(separator: "\n").dropLast().map(String.init)
  }
}
