import ClusterModel
import Foundation
import InferenceCore
import Text

/// Checks that decisions and text compression are the same in every process.
///
/// The inputs are the same request, host table, seed and text.
enum Determinism {
  static let processes = 1_000

  static func run() throws {
    var outputs: [String: Int] = [:]
    for _ in 0..<processes {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      process.arguments = ["decide"]
      let pipe = Pipe()
      process.standardOutput = pipe
      try process.run()
      let output = pipe.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      outputs[String(decoding: output, as: UTF8.self), default: 0] += 1
    }
    print(
      "Determinism: \(processes) process starts, \(outputs.count) different output"
        + "\(outputs.count == 1 ? "" : "s"), of \(outputs.keys.first?.count ?? 0) bytes")
  }

  /// Prints the hosts chosen for a hundred requests, in order, and a text compressed to several
  /// sizes.
  static func decide() {
    let hosts = (0..<50).map { number in
      Host(
        id: HostID("host-\(number)"), url: "http://127.0.0.1:\(9_000 + number)", state: .ready,
        models: [ModelOffer(id: "m"), ModelOffer(id: "n")], slots: 4)
    }
    let view = ClusterView(table: HostTable(epoch: 1, revision: 1, hosts: hosts))
    for seed in 0..<100 as Range<UInt64> {
      let constraints = InferenceConstraints(affinity: [UInt8(seed % 7)], seed: seed)
      let eligible = Eligibility(model: "m", constraints: constraints, view: view)
      var rng = SplitMix64(seed: seed)
      let chosen = HostChoice.choose(
        3, from: eligible, HostChoice.Wish(affinity: constraints.affinity), using: &rng)
      print(seed, chosen.map { "\($0.host.id)" }.joined(separator: " "))
    }
    let sections = (0..<20).map { number in
      "## Part \(number)\n\n- first point of \(number)\n- second point\n\n"
        + String(repeating: "A sentence that says something. ", count: number + 1) + "\n"
    }
    let document = sections.joined(separator: "\n") + "\n```json\n{\"a\": [1, 2, 3]}\n```\n"
    for tokens in [16, 64, 256, 1_024] {
      print(Compression.compressed(document, toTokens: tokens))
    }
  }
}
