import ClusterModel
import ClusterTesting
import Foundation
import NIOHTTP1
import Testing

private enum ApplyHosts {
  @Sendable static func one() async throws -> [FaultyHost] {
    [
      try await .started(
        FaultyHostConfiguration(
          models: [FaultyHosts.model], answer: .text(FaultyHosts.answer), dialect: .openai))
    ]
  }
}

extension ProcessTests {
  @Suite(
    "Accounts and money from the command line", .serialized,
    .cluster { try await RunningCluster.start(.faulty(ApplyHosts.one())) })
  struct ApplyTests {
    private let cluster: RunningCluster

    init() throws { cluster = try RunningCluster.current() }

    @Test("credits are given once, prices and budgets are shown, and the ledger is proved")
    func money() async throws {
      #expect(try await cluster.tutti("organisations", "create", "shop", "--prepaid").status == 0)
      #expect(try await cluster.tutti("teams", "create", "shop/web", "--name", "Web").status == 0)
      let budget = try await cluster.tutti(
        "budgets", "set", "shop", "5.5", "--period", "month", "--warn", "80%")
      #expect(budget.status == 0 && budget.output.contains("80%"), "\(budget)")
      #expect(budget.errors.contains("nothing counts against the budget"), "\(budget)")
      let balance = try await cluster.tutti("ledger", "balance", "shop")
      #expect(balance.status == 64 && balance.errors.contains("org/shop"), "\(balance)")
      let second = try await cluster.tutti("budgets", "set", "shop", "1", "--period", "day")
      #expect(second.output.split(separator: "\n").count == 3, "\(second)")
      let cleared = try await cluster.tutti("budgets", "clear", "shop", "--period", "day")
      #expect(cleared.output.contains("5.5") && !cleared.output.contains("day"), "\(cleared)")
      for expected in ["credit of 100", "nothing was moved"] {
        let credit = try await cluster.tutti("ledger", "credit", "shop", "100", "--id", "one")
        #expect(credit.output == "one\n" && credit.errors.contains(expected), "\(credit)")
      }
      #expect(try await cluster.tutti("ledger", "balance", "org/shop").output == "100\n")
      let export = try await cluster.tutti("ledger", "export", "--format", "csv")
      #expect(export.output.contains("admin/one"), "\(export)")
      let proof = try await cluster.tutti("ledger", "verify")
      #expect(proof.status == 0, "\(proof)")
      let used = try await cluster.tutti("organisations", "remove", "shop", "--yes")
      #expect(used.status == 1 && used.errors.contains("1 team (shop/web)"), "\(used)")
      #expect(used.errors.contains("tutti ledger debit shop 100"), "\(used)")
      let unconfirmed = try await cluster.tutti("teams", "rm", "shop/web")
      #expect(unconfirmed.status == 64 && unconfirmed.errors.contains("--yes"), "\(unconfirmed)")
      #expect(try await cluster.tutti("teams", "rm", "shop/web", "--yes").status == 0)
      _ = try await cluster.tutti("ledger", "debit", "shop", "100")
      let removed = try await cluster.tutti("organisations", "rm", "shop", "--yes")
      #expect(removed.status == 0, "\(removed)")
      let again = try await cluster.tutti("organisations", "create", "shop")
      #expect(again.status == 1 && again.errors.contains("choose another id"), "\(again)")
      #expect(try await cluster.tutti("ledger", "balance", "org/shop").output == "0\n")
      let log = try await cluster.tutti("audit", "--action", "remove")
      #expect(log.output.contains("shop/web") && log.output.contains("removed"), "\(log)")
      let price = try await cluster.tutti("prices", "set", "m", "--input", "1", "--output", "x")
      #expect(price.status == 64 && price.errors.contains("--output"), "\(price)")
    }

    #if os(Linux)
      @Test("a full disk ends a command with an error")
      func fullDisk() async throws {
        let command = "exec '\(Programs.path("tutti"))' export > /dev/full"
        let full = try await Programs.run(
          "/bin/sh", ["-c", command], environment: ["TUTTI_DATA_DIR": cluster.dataDirectory],
          in: cluster.directory)
        #expect(full.status == 1 && full.errors.contains("output is incomplete"), "\(full)")
      }
    #endif

    @Test("a file is applied once, its new keys' secrets are kept, and an export changes nothing")
    func apply() async throws {
      let directory = try TemporaryDirectory()
      let (file, keys) = (directory.path + "/cluster.yaml", directory.path + "/keys")
      let exported = try await cluster.tutti("export", "-o", file)
      #expect(exported.status == 0, "\(exported)")
      let same = try await cluster.tutti("apply", "-f", file)
      #expect(same.status == 0 && same.output == "no changes\n", "\(same)")

      try """
      organisations:
        - {id: acme, name: Acme, budgets: [{amount: 12.50, period: month, warnings: [800]}]}
      teams:
        - {id: acme/web}
      prices:
        - {model: some-model, input: 0.15, output: "0.6"}
      tariff: {unknown_price: refuse}
      keys:
        - {name: ci, account: acme/web, state: disabled, budgets: [{amount: 1, period: day}]}
      """.write(toFile: file, atomically: true, encoding: .utf8)
      let refused = try await cluster.tutti("apply", "-f", file, "--yes")
      #expect(refused.status == 64 && refused.errors.contains("--keys-dir"), "\(refused)")
      let unconfirmed = try await cluster.tutti("apply", "-f", file, "--keys-dir", keys)
      #expect(unconfirmed.status == 64 && unconfirmed.errors.contains("--yes"), "\(unconfirmed)")
      let dry = try await cluster.tutti("apply", "-f", file, "--dry-run")
      #expect(dry.status == 0 && dry.output.contains("+ organisation acme"), "\(dry)")
      #expect(try await cluster.admin(.GET, "/organisations/acme").status == 404)

      let typo = try await cluster.tutti("keys", "create", "typo", "--account", "acmee/web")
      #expect(typo.status == 0 && typo.errors.contains("no organisation acmee"), "\(typo)")
      let applied = try await cluster.tutti("apply", "-f", file, "--yes", "--keys-dir", keys)
      #expect(applied.status == 0, "\(applied)")
      let secret = try String(contentsOfFile: keys + "/ci.key", encoding: .utf8)
      let mode = try FileManager.default.attributesOfItem(atPath: keys + "/ci.key")
      #expect(mode[.posixPermissions] as? Int == 0o600)
      #expect(!(applied.output + applied.errors).contains(secret.dropLast()))
      let again = try await cluster.tutti("apply", "-f", file)
      #expect(again.status == 0 && again.output == "no changes\n", "\(again)")

      try "keys: []".write(toFile: file, atomically: true, encoding: .utf8)
      let pruned = try await cluster.tutti("apply", "-f", file, "--yes", "--prune")
      #expect(pruned.output.contains("(revoked)"), "\(pruned)")
      try "organisations: [{id: acme, prepayed: true}]".write(
        toFile: file, atomically: true, encoding: .utf8)
      let wrong = try await cluster.tutti("apply", "-f", file)
      #expect(wrong.status == 64 && wrong.errors.contains(":1: "), "\(wrong)")
    }
  }
}
