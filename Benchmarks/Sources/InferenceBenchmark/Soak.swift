import ClusterModel
import ClusterTesting
import Foundation
import Inference
import InferenceCore
import Synchronization

/// Runs many streams through hosts that fail at random.
enum Soak {
  static let streams = 20_000

  static func run() async throws {
    print("Soak: \(streams) streams, four hosts, one attempt in five fails at random")
    Table.line("", ["streams", "failed", "RSS MiB", "descriptors", "in flight"])
    let configurations = (0..<4).map {
      FaultsAsTheNorm.configuration(seed: UInt64($0) + 1, chance: 0.2)
    }
    try await Workbench.with(configurations) { bench in
      let failed = Mutex(0)
      let reasons = Mutex<[String: Int]>([:])
      let client = bench.client
      for part in 1...4 {
        await bench.each(streams / 4, atOnce: 32) { number in
          do {
            let answer = try await client.infer(
              Workbench.request(number: part * streams + number),
              constraints: InferenceConstraints(
                deadlines: FaultsAsTheNorm.deadlines, seed: UInt64(part * streams + number)))
            for try await _ in answer {}
          } catch {
            failed.withLock { $0 += 1 }
            reasons.withLock { $0["\(error)".prefix(200).description, default: 0] += 1 }
          }
        }
        Table.line(
          "",
          [
            "\(part * streams / 4)", "\(failed.withLock { $0 })", "\(residentMebibytes())",
            "\(descriptors())", "\(client.inFlight.values.reduce(0, +))",
          ])
      }
      for (reason, count) in reasons.withLock(\.self).sorted(by: { $0.value > $1.value }).prefix(5)
      {
        print("  \(count) × \(reason)")
      }
    }
  }

  static func residentMebibytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return pages * 4_096 / 1_048_576
  }

  static func descriptors() -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
  }
}
