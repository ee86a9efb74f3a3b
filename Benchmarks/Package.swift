// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that release builds and measuring tools stay out of the product's.
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
      swiftSettings: [.swiftLanguageMode(.v6)])
  ]
)
