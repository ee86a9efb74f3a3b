import Foundation

/// Runs one program to its end, with `PATH`, `HOME` and the given variables as its environment.
enum Command {
  /// The directory of the executables: that of this test bundle, or `.build/debug`.
  static var buildDirectory: URL {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    let beside = URL(filePath: bundle).deletingLastPathComponent()
    if FileManager.default.fileExists(atPath: beside.appending(path: "tutti-planner").path) {
      return beside
    }
    return SourceTree.root.appending(path: ".build/debug")
  }

  struct Output {
    let status: Int32
    /// Standard output, then standard error.
    let text: String
  }

  static func run(
    _ program: String, _ arguments: [String], environment: [String: String], directory: URL
  ) throws -> Output {
    let own = ProcessInfo.processInfo.environment
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.environment = environment.merging(
      ["PATH": own["PATH"] ?? "/usr/bin:/bin", "HOME": own["HOME"] ?? "/tmp"]
    ) { given, _ in given }
    process.currentDirectoryURL = directory
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    // The program writes to files, because a full pipe would block it.
    let files = try ["out", "err"].map { name in
      let url = folder.appending(path: name)
      try Data().write(to: url)
      return (url, try FileHandle(forWritingTo: url))
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = files[0].1
    process.standardError = files[1].1
    try process.run()
    process.waitUntilExit()
    let texts = try files.map { String(decoding: try Data(contentsOf: $0.0), as: UTF8.self) }
    return Output(status: process.terminationStatus, text: texts.joined())
  }
}
