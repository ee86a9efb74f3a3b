public import ArgumentParser
public import ClusterSimulation

@main
struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tutti-simulate",
    abstract: "Simulate a whole cluster with seeded faults, and replay a run from its seed.",
    discussion: """
      Services, network, hosts and clients run in one thread on virtual time. Without --seeds, the \
      event log of one run is printed. With --seeds, one line per run, and an exit code of 1 if a \
      run broke an invariant.

        tutti-simulate 4711
        tutti-simulate 1 --seeds 1000
      """)

  @Argument(help: "The first seed.")
  var seed: UInt64
  @Option(help: "Number of seeds to run, each with one line of output.")
  var seeds: UInt64?
  @Option(help: "A planted bug, to see how it is found.")
  var plant: Scenario.PlantedBug?
  @Flag(help: "Log every frame, too.")
  var frames = false

  func run() throws {
    guard let seeds else {
      let report = SimulatedCluster(Scenario(seed: seed, planted: plant), logsFrames: frames).run()
      for line in report.log { print(line) }
      try finish(report)
      return
    }
    var broken = 0
    for offset in 0..<seeds {
      let report = SimulatedCluster(Scenario(seed: seed &+ offset, planted: plant)).run()
      print(report.summary)
      if !report.violations.isEmpty {
        broken += 1
        for violation in report.violations { print("    \(violation)") }
      }
    }
    if broken > 0 { throw ExitCode.failure }
  }

  private func finish(_ report: SimulationReport) throws {
    print(report.summary)
    for violation in report.violations { print("    \(violation)") }
    if !report.violations.isEmpty { throw ExitCode.failure }
  }
}

extension Scenario.PlantedBug: ExpressibleByArgument {}
