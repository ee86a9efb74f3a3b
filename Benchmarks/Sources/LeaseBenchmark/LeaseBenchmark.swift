import ClusterModel
import Foundation
import Money

/// Settlements and admissions of one account under the load of 4 and of 64 gateways.
///
///     LeaseBenchmark [SECONDS]
@main
enum LeaseBenchmark {
  static func main() async throws {
    let seconds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 5
    let directory = FileManager.default.temporaryDirectory
      .appending(path: "tutti-leases-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    print("One account, SQLite with one write per step; waits are counted in writes")
    print(
      "| gateways | balance | requests | settlements/s | writes/s | messages per request "
        + "| wait p50 | wait p99 | refused | wrongly | ledger |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (name, gateways, balance) in [
      ("ample", 4, 1_000_000_000_000), ("ample", 64, 1_000_000_000_000),
      ("for some 6,000 requests", 64, 400_000), ("for some 60 requests", 64, 4_000),
    ] as [(String, Int, Int64)] {
      var load = try await LeaseLoad(
        LeaseLoad.Options(
          gateways: gateways, balance: MicroCredits(balance), duration: .seconds(seconds)),
        path: directory.appending(path: "\(gateways)-\(balance).sqlite").path)
      try await load.run()
      row(name, gateways, load.result)
    }
  }

  private static func row(_ name: String, _ gateways: Int, _ result: LeaseLoad.Result) {
    let seconds = max(result.elapsed.inSeconds, 0.001)
    let waits = result.waits.sorted()
    func percentile(_ share: Int) -> String {
      waits.isEmpty ? "-" : "\(waits[min(waits.count - 1, waits.count * share / 100)])"
    }
    let messages = Double(result.messages) / Double(max(1, result.requests))
    let cells = [
      "\(gateways)", name, "\(result.requests)", "\(Int(Double(result.settlements) / seconds))",
      "\(Int(Double(result.writes) / seconds))", "\((messages * 1_000).rounded() / 1_000)",
      percentile(50), percentile(99), "\(result.refusals)", "\(result.falseRefusals)",
      result.isVerified ? "correct" : "DIFFERENT",
    ]
    print("| " + cells.joined(separator: " | ") + " |")
  }
}
