// swift-tools-version: 6.2
import PackageDescription

// A separate package, so that the product's builds exclude libFuzzer and its instrumentation.
// Tools/fuzz.sh builds it with the flags that instrument every module.
let package = Package(
  name: "tutti-fuzz",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "tutti", path: "..")],
  targets: [
    .systemLibrary(name: "CFuzzer", path: "Sources/CFuzzer"),
    .executableTarget(
      name: "tutti-fuzz",
      dependencies: ["CFuzzer", .product(name: "TuttiFuzz", package: "tutti")],
      path: "Sources/TuttiFuzz", swiftSettings: [.swiftLanguageMode(.v6)],
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
    // A separate target, because it needs the code that reads settings, which takes minutes to
    // compile.
    .executableTarget(
      name: "tutti-fuzz-settings",
      dependencies: ["CFuzzer", .product(name: "TuttiFuzzSettings", package: "tutti")],
      path: "Sources/TuttiFuzzSettings", swiftSettings: [.swiftLanguageMode(.v6)]),
  ]
)
