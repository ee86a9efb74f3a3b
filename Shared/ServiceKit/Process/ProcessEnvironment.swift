import ClusterModel
import Files
import Foundation

/// The environment of a process at its start. Tests make their own.
struct ProcessEnvironment: Sendable {
  /// The arguments without the program's name.
  var arguments: [String]
  var program: String
  var environment: [String: String]
  var hostName: String

  static func real() -> ProcessEnvironment {
    let all = CommandLine.arguments
    return ProcessEnvironment(
      arguments: Array(all.dropFirst()),
      program: all.first.map { String($0.split(separator: "/").last ?? "tutti") } ?? "tutti",
      environment: ProcessInfo.processInfo.environment,
      hostName: ProcessInfo.processInfo.hostName)
  }

  /// Maximum size of a configuration or secret file; a larger file is refused.
  static let maxFileBytes = 1 << 20

  @Sendable static func readFile(_ path: String) throws(ProcessFailure) -> String {
    var isDirectory: ObjCBool = false
    guard unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw ProcessFailure(.usage, "does not exist")
    }
    guard !isDirectory.boolValue else {
      throw ProcessFailure(.usage, "is a directory, a file is wanted")
    }
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw ProcessFailure(.usage, "may not be read by this user")
    }
    defer { try? file.close() }
    let data: Data
    do { data = try file.read(upToCount: maxFileBytes + 1) ?? Data() } catch {
      throw ProcessFailure(.usage, "cannot be read: \(error.localizedDescription)")
    }
    guard data.count <= maxFileBytes else {
      throw ProcessFailure(.usage, "is larger than 1 MiB")
    }
    guard let text = String(bytes: data, encoding: .utf8) else {
      throw ProcessFailure(.usage, "is not UTF-8 text")
    }
    return text
  }
}

/// The directory for data that must survive restarts.
enum DataDirectory {
  /// Creates the directory if absent, and refuses one in which other users could replace files.
  /// - Returns: its absolute path.
  static func prepare(_ path: String) throws(ProcessFailure) -> String {
    let absolute =
      path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    do throws(FileRefused) {
      try PrivateDirectory.prepare(absolute)
    } catch {
      throw ProcessFailure(
        .unavailable, "The data directory is not used. \(error.message) Its setting is --data-dir.")
    }
    guard FileManager.default.isWritableFile(atPath: absolute) else {
      throw ProcessFailure(
        .unavailable,
        "The data directory \(absolute) may not be written by this user: choose another with "
          + "--data-dir.")
    }
    return absolute
  }
}
