import Foundation

/// Measures the guarantees of `infer()`, in virtual time or against hosts with faults on demand
/// over real sockets.
///
///     InferenceBenchmark [equations|race|cancel|faults|soak|determinism|holdback|cuts]…
@main
enum InferenceBenchmark {
  static func main() async throws {
    let arguments = CommandLine.arguments.dropFirst()
    // A child process of `determinism`.
    if arguments.first == "decide" { return Determinism.decide() }
    let all = ["equations", "race", "cancel", "faults", "soak", "determinism", "holdback", "cuts"]
    for name in arguments.isEmpty ? all : Array(arguments) {
      switch name {
      case "equations": Equations.run()
      case "race": try await RealRace.run()
      case "cancel": try await CancelLatency.run()
      case "faults": try await FaultsAsTheNorm.run()
      case "soak": try await Soak.run()
      case "determinism": try Determinism.run()
      case "holdback": try HoldBack.run()
      case "cuts": guard try Cuts.run() else { exit(1) }
      default:
        print("\(name)? Say one or more of \(all.joined(separator: ", "))")
        exit(64)
      }
      print("")
    }
  }
}
