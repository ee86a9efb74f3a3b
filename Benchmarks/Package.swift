// swift-tools-version: 6.2
import PackageDescription

// A separate package, so that the product's builds exclude benchmarks and measuring tools.
let package = Package(
  name: "tutti-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "tutti", path: ".."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    .executableTarget(
      name: "BusBenchmark",
      dependencies: [
        .product(name: "TuttiBus", package: "tutti"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6)]),
    .executableTarget(
      name: "InferenceBenchmark",
      dependencies: [
        .product(name: "TuttiInference", package: "tutti"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6)]),
    .target(name: "AllocationCount"),
    .executableTarget(
      name: "DecisionBenchmark",
      dependencies: ["AllocationCount", .product(name: "TuttiInference", package: "tutti")],
      swiftSettings: [.swiftLanguageMode(.v6)],
      // The pure modules import nothing that would link libm.
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
    .executableTarget(
      name: "LeaseBenchmark",
      dependencies: [.product(name: "TuttiAccounts", package: "tutti")],
      swiftSettings: [.swiftLanguageMode(.v6)]),
    .executableTarget(
      name: "PlanBenchmark",
      dependencies: [.product(name: "TuttiDispatcher", package: "tutti")],
      swiftSettings: [.swiftLanguageMode(.v6)],
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
  ]
)
