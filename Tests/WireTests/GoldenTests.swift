import BusCore
import ClusterModel
import Foundation
import Testing
import Wire

/// Checks that the wire format is real protobuf: Python's implementation and ours read each other's
/// output.
@Suite("Golden frames", .timeLimit(.minutes(5)))
struct GoldenTests {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  @Test("frames that Python encoded are decoded")
  func decoding() throws {
    try Self.withFolder { folder in
      try Self.golden("write", folder)
      for (name, envelope) in Samples.all {
        let frame = try Data(contentsOf: folder.appending(path: "\(name).bin"))
        #expect(try Envelope(decoding: [UInt8](frame)) == envelope, "\(name)")
      }
    }
  }

  @Test("Python decodes the frames encoded here")
  func encoding() throws {
    try Self.withFolder { folder in
      for (name, envelope) in Samples.all {
        try Data(envelope.encoded()).write(to: folder.appending(path: "\(name).bin"))
      }
      let report = try Self.golden("check", folder)
      #expect(report.contains("\(Samples.all.count) samples"))
    }
  }

  @Test("the committed C is what protoc-c makes of Proto/")
  func generatedCode() throws {
    try Self.withFolder { folder in
      try Self.run("/bin/bash", [Self.root.appending(path: "Tools/proto.sh").path, folder.path])
      let committed = Self.root.appending(path: "Shared/ClusterProto")
      let files = try Self.files(in: folder)
      #expect(try Self.files(in: committed) == files, "run: make proto")
      #expect(files.count == 16)
      for file in files {
        #expect(
          try Data(contentsOf: folder.appending(path: file))
            == Data(contentsOf: committed.appending(path: file)),
          "\(file) is not fresh; run: make proto")
      }
    }
  }

  private static func files(in folder: URL) throws -> [String] {
    let walker = try #require(FileManager.default.enumerator(atPath: folder.path))
    return walker.compactMap { $0 as? String }
      .filter { $0.hasSuffix(".c") || $0.hasSuffix(".h") }.sorted()
  }

  @discardableResult
  private static func golden(_ verb: String, _ folder: URL) throws -> String {
    let given = ProcessInfo.processInfo.environment["TUTTI_TEST_PYTHON"] ?? ""
    let python = given.isEmpty ? root.appending(path: ".venv-test/bin/python").path : given
    try #require(
      FileManager.default.isExecutableFile(atPath: python), "\(python) is missing; run: make setup")
    return try run(
      python,
      [
        root.appending(path: "Tests/WireTests/golden.py").path, root.appending(path: "Proto").path,
        verb, folder.path,
      ])
  }

  /// Runs a program to its end and expects success.
  /// - Returns: the program's output.
  @discardableResult
  private static func run(_ program: String, _ arguments: [String]) throws -> String {
    try withFolder { folder in
      // The program writes to a file, because a full pipe would block it.
      let output = folder.appending(path: "output")
      try Data().write(to: output)
      let handle = try FileHandle(forWritingTo: output)
      let process = Process()
      process.executableURL = URL(filePath: program)
      process.arguments = arguments
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = handle
      process.standardError = handle
      try process.run()
      process.waitUntilExit()
      let text = String(decoding: try Data(contentsOf: output), as: UTF8.self)
      try #require(process.terminationStatus == 0, "\(text)")
      return text
    }
  }

  private static func withFolder<R>(_ body: (URL) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
  }
}
