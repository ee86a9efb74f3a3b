import ClusterModel
import ClusterTesting
import Foundation
import Testing

/// Starts a server that stores in SQLite files and uses MongoDB's wire protocol. The server ends
/// when its lifeline is cut.
/// - Returns: the process, and the address of a database.
func startMongoServer(
  in directory: TemporaryDirectory
) async throws -> (process: RunningProcess, uri: String) {
  let program = """
    import os, sys, threading
    from nx_27017.nx_27017 import main
    def lifeline():
        sys.stdin.buffer.read()
        os._exit(0)
    threading.Thread(target=lifeline, daemon=True).start()
    main()
    """
  let process = try RunningProcess(
    Programs.python,
    [
      "-c", program, "--host", "127.0.0.1", "--port", "0", "--data-dir",
      directory.path + "/mongo", "--log-file", directory.path + "/log", "--pid-file",
      directory.path + "/pid",
    ], in: directory, hasLifeline: true)
  let port = try await eventually("the MongoDB server listens") { () -> Substring? in
    process.errors.firstMatch(of: /Listening on 127\.0\.0\.1:([0-9]+)\n/)?.1
  }
  return (process, "mongodb://127.0.0.1:\(port)/tutti")
}

extension ProcessTests {
  @Suite("Accounts of a cluster in MongoDB", .serialized)
  struct MongoAccountsTests {
    @Test("keys, accounts and ledger survive a restart, and the ledger is proved")
    func restart() async throws {
      let directory = try TemporaryDirectory()
      let (server, uri) = try await startMongoServer(in: directory)
      defer { server.cutLifeline() }
      let hosts = try await FaultyHosts.two()
      let environment = ["TUTTI_REGISTRY_MONGODB_URI": uri]
      let cluster = try await RunningCluster.start(.faulty(hosts), environment: environment)
      #expect(try await cluster.tutti("organisations", "create", "shop", "--prepaid").status == 0)
      #expect(try await cluster.tutti("settings", "set", "inference.race_width", "3").status == 0)
      let credit = try await cluster.tutti("ledger", "credit", "shop", "100", "--id", "one")
      #expect(credit.output == "one\n", "\(credit)")
      try await cluster.stop()

      let again = try await RunningCluster.start(
        .faulty(hosts), dataDirectory: cluster.dataDirectory, environment: environment)
      #expect(try await again.tutti("ledger", "balance", "org/shop").output == "100\n")
      let repeated = try await again.tutti("ledger", "credit", "shop", "100", "--id", "one")
      #expect(repeated.errors.contains("nothing was moved"), "\(repeated)")
      let settings = try await again.tutti("settings", "list", "--json")
      #expect(
        settings.output.split(separator: "\n").contains {
          $0.contains("inference.race_width") && $0.contains("runtime")
        }, "\(settings)")
      let proof = try await again.tutti("ledger", "verify")
      #expect(proof.status == 0, "\(proof)")
      let files = try FileManager.default.contentsOfDirectory(atPath: again.dataDirectory)
      #expect(!files.contains { $0.hasPrefix("accounts.sqlite") }, "\(files)")
      try await again.stop()
    }

    @Test("a registry whose MongoDB is away does not start, and names the address and the setting")
    func away() async throws {
      let directory = try TemporaryDirectory()
      let data = directory.path + "/data"
      try FileManager.default.createDirectory(
        atPath: data, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      let outcome = try await Programs.run(
        Programs.path("tutti-registry"), ["--data-dir", data, "--port", "0"],
        environment: ["TUTTI_REGISTRY_MONGODB_URI": "mongodb://me:hunter2@127.0.0.1:1/tutti"],
        in: directory)
      #expect(outcome.status == 69, "\(outcome)")
      #expect(outcome.errors.contains("127.0.0.1:1"), "\(outcome)")
      #expect(outcome.errors.contains("registry.mongodb_uri"), "\(outcome)")
      #expect(!outcome.errors.contains("hunter2"), "\(outcome)")
    }
  }
}
