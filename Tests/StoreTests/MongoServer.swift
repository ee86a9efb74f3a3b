import Foundation
import Testing

/// The `nx-27017` server of the test environment: MongoDB's wire protocol over SQLite files.
///
/// One server runs per suite. It ends when its standard input closes, so it never outlives the
/// tests.
struct MongoServer: Sendable {
  let port: Int

  @TaskLocal static var current: MongoServer?

  /// The URI of a database that no other test uses.
  static func freshDatabase() throws -> String {
    let server = try #require(current, "the suite lacks the trait .mongoServer")
    let name = "t" + UUID().uuidString.replacing("-", with: "").prefix(12).lowercased()
    return "mongodb://127.0.0.1:\(server.port)/\(name)"
  }

  struct CannotStart: Error, CustomStringConvertible {
    let description: String
  }

  /// Runs the server as a child that ends when its standard input closes.
  private static let program = """
    import os, sys, threading
    from nx_27017.nx_27017 import main
    def lifeline():
        sys.stdin.buffer.read()
        os._exit(0)
    threading.Thread(target=lifeline, daemon=True).start()
    main()
    """

  static var python: String {
    if let given = ProcessInfo.processInfo.environment["TUTTI_TEST_PYTHON"], !given.isEmpty {
      return given
    }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    return root.appendingPathComponent(".venv-test/bin/python").path
  }

  static func whileRunning(_ body: @concurrent @Sendable () async throws -> Void) async throws {
    guard FileManager.default.isExecutableFile(atPath: python) else {
      throw CannotStart(description: "\(python) is missing; run `make setup`")
    }
    let scratch = try Scratch()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: python)
    process.arguments = [
      "-c", program, "--host", "127.0.0.1", "--port", "0", "--data-dir", scratch.path("data"),
      "--log-file", scratch.path("log"), "--pid-file", scratch.path("pid"),
    ]
    let lifeline = Pipe()
    let errors = Pipe()
    process.standardInput = lifeline
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors

    // Yields all pieces of the server's log until its end. Reading all of them keeps the pipe from
    // filling up.
    let (lines, feed) = AsyncStream.makeStream(of: Data.self)
    errors.fileHandleForReading.readabilityHandler = { handle in
      let data = handle.availableData
      if data.isEmpty {
        handle.readabilityHandler = nil
        feed.finish()
      } else {
        feed.yield(data)
      }
    }
    try process.run()
    defer {
      try? lifeline.fileHandleForWriting.close()
      process.waitUntilExit()
      withExtendedLifetime(scratch) {}
    }

    var log = ""
    var port: Int?
    for await data in lines {
      log += String(decoding: data, as: UTF8.self)
      if let match = log.firstMatch(of: /Listening on 127\.0\.0\.1:([0-9]+)\n/) {
        port = Int(match.1)
        break
      }
    }
    guard let port else {
      throw CannotStart(description: "nx-27017 did not start; run `make setup`. It said:\n\(log)")
    }
    try await $current.withValue(MongoServer(port: port)) { try await body() }
  }
}

/// Runs a `MongoServer` for the duration of a suite.
struct MongoServerTrait: SuiteTrait, TestScoping {
  func provideScope(
    for test: Test, testCase: Test.Case?,
    performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    try await MongoServer.whileRunning(function)
  }
}

extension Trait where Self == MongoServerTrait {
  static var mongoServer: Self { Self() }
}

/// A directory that is deleted with its last reference.
final class Scratch: Sendable {
  private let directory: URL

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("tutti-store-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: directory) }

  func path(_ name: String) -> String { directory.appendingPathComponent(name).path }
}
