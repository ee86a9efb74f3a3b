// swift-tools-version: 6.2
import PackageDescription

/// Compiler settings of the product and the tests: warnings are errors, unsafe memory access is
/// marked `unsafe`, imports are internal.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// MARK: - Dependencies

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")
let asyncHTTPClient: Target.Dependency = .product(
  name: "AsyncHTTPClient", package: "async-http-client")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(
  name: "HummingbirdCore", package: "hummingbird")
let lifecycle: Target.Dependency = .product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let coreMetrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let unixSignals: Target.Dependency = .product(
  name: "UnixSignals", package: "swift-service-lifecycle")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

// MARK: - Target shorthands

/// Every target may read the table of limits.
let limits: [Target.Dependency] = ["Limits"]

/// A target without clock, environment, socket or lock (docs/ARCHITECTURE.md, "Pure cores").
func pure(_ name: String, path: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies + limits, path: path, swiftSettings: strict)
}

/// A library that performs input and output.
func shell(
  _ name: String, path: String, _ dependencies: [Target.Dependency],
  exclude: [String] = [], resources: [Resource]? = nil
) -> Target {
  .target(
    name: name, dependencies: dependencies + limits, path: path, exclude: exclude,
    resources: resources, swiftSettings: strict)
}

/// An executable that runs as its own process.
func executable(_ name: String, path: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies + limits, path: path, swiftSettings: strict)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + limits, path: "Tests/\(name)", exclude: exclude,
    swiftSettings: strict)
}

/// Test targets to build, separated by commas; `nil` means all. With it, a change to one core
/// compiles only that core's tests: `TUTTI_ONLY_TESTS=InferenceCoreTests Tools/test.sh swift`.
let onlyTests = Context.environment["TUTTI_ONLY_TESTS"].map { names in
  Set(names.split(separator: ",").map(String.init))
}

/// Commit that `--version` prints, set by the Makefile and the Dockerfile; `nil` means unknown.
/// `Context.gitInformation` is not used: SwiftPM caches it and would name an older commit.
let commit = Context.environment["TUTTI_COMMIT"].flatMap { commit in
  commit.wholeMatch(of: /[0-9a-f]+(-dirty)?/) == nil ? nil : commit
}

let roles = ["Research", "Reasoning", "Creative", "Code", "Critic", "Coordinator"]

/// The library and the executable of each role.
let agents: [Target] = roles.flatMap {
  [
    shell(
      "Agent\($0)", path: "Services/Agents/\($0)/Shell", ["AgentCore", "AgentKit", "ClusterModel"]),
    executable("Agent\($0)Main", path: "Services/Agents/\($0)/Main", [.target(name: "Agent\($0)")]),
  ]
}

let package = Package(
  name: "tutti",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "tutti", targets: ["CommandLineMain"]),
    .executable(name: "tutti-gateway", targets: ["GatewayMain"]),
    .executable(name: "tutti-registry", targets: ["RegistryMain"]),
    .executable(name: "tutti-planner", targets: ["PlannerMain"]),
    .executable(name: "tutti-dispatcher", targets: ["DispatcherMain"]),
    .executable(name: "tutti-monitor", targets: ["MonitorMain"]),
    .executable(name: "all-of-tutti", targets: ["AllInOneMain"]),
    .executable(name: "tutti-faulty-host", targets: ["FaultyHostMain"]),
    .executable(name: "tutti-simulate", targets: ["SimulateMain"]),
    .library(name: "TuttiFuzz", targets: ["FuzzEntries"]),
    .library(name: "TuttiFuzzSettings", targets: ["SettingsFuzzEntry"]),
    .library(name: "TuttiBus", targets: ["Bus", "BusCore", "ClusterModel"]),
    .library(
      name: "TuttiAccounts", targets: ["Access", "ClusterModel", "Money", "RegistryCore", "Store"]),
    .library(name: "TuttiDispatcher", targets: ["DispatcherCore", "ClusterModel", "HostModel"]),
    .library(
      name: "TuttiInference",
      targets: [
        "Inference", "InferenceCore", "InferenceSimulation", "AnswerTesting", "ClusterModel",
        "ClusterTesting", "HostModel", "Text",
      ]),
  ]
    + roles.map {
      .executable(name: "tutti-agent-\($0.lowercased())", targets: ["Agent\($0)Main"])
    },
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
    .package(
      url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
  ],
  targets: [
    // C libraries, each with a module map and a shim.h.
    .systemLibrary(
      name: "CNanomsg", path: "Shared/CNanomsg", pkgConfig: "nanomsg",
      providers: [.apt(["libnanomsg-dev"]), .brew(["nanomsg"])]),
    .systemLibrary(
      name: "CProtobufC", path: "Shared/CProtobufC", pkgConfig: "libprotobuf-c",
      providers: [.apt(["libprotobuf-c-dev"]), .brew(["protobuf-c"])]),
    .systemLibrary(
      name: "CMongoC", path: "Shared/CMongoC", pkgConfig: "libmongoc-1.0",
      providers: [.apt(["libmongoc-dev"]), .brew(["mongo-c-driver"])]),
    // Debian's libmongoc-dev installs both libraries.
    .systemLibrary(
      name: "CCompression", path: "Shared/CCompression",
      providers: [.apt(["zlib1g-dev", "libzstd-dev"]), .brew(["zlib", "zstd"])]),
    .target(name: "CCrash", path: "Shared/CCrash"),
    .target(
      name: "CBuildInfo", path: "Shared/CBuildInfo",
      cSettings: commit.map { [.define("TUTTI_COMMIT", to: "\"\($0)\"")] }),
    .target(name: "CAllocator", path: "Shared/CAllocator"),
    .target(name: "ClusterProto", dependencies: ["CProtobufC"], path: "Shared/ClusterProto"),

    // Pure libraries.
    .target(name: "Limits", path: "Shared/Limits", swiftSettings: strict),
    pure("ClusterModel", path: "Shared/ClusterModel"),
    pure("Text", path: "Shared/Text"),
    pure("HostModel", path: "Shared/Hosts", ["ClusterModel"]),
    pure("BusCore", path: "Shared/Bus/Core", ["Access", "ClusterModel", "Money"]),
    // The bus's codec.
    pure(
      "Wire", path: "Shared/Wire",
      ["Access", "BusCore", "ClusterModel", "ClusterProto", "CProtobufC", "Money"]),
    pure("OverloadCore", path: "Shared/Overload/Core", ["ClusterModel"]),
    pure("Money", path: "Shared/Money/Core", ["ClusterModel", crypto]),
    pure("Access", path: "Shared/Access", ["ClusterModel", crypto]),
    pure("InferenceCore", path: "Shared/Inference/Core", ["ClusterModel", "HostModel", "Text"]),
    // Uses Foundation only for logarithms.
    shell(
      "InferenceSimulation", path: "Shared/Inference/Simulation", ["ClusterModel", "InferenceCore"]),

    // Shells.
    shell("Clocks", path: "Shared/Clocks", ["ClusterModel"]),
    shell("Files", path: "Shared/Files", []),
    shell(
      "BillingJournal", path: "Shared/Money/Journal", ["ClusterModel", "Files", "Money"]),
    shell("ContentCoding", path: "Shared/ContentCoding", ["CCompression"]),
    shell(
      "Bus", path: "Shared/Bus/Shell",
      [
        "BusCore", "Clocks", "ClusterModel", "Wire", "CNanomsg", crypto, lifecycle, logging,
        metrics, nioCore,
        nioPosix,
      ]),
    shell(
      "Telemetry", path: "Shared/Telemetry", ["ClusterModel", coreMetrics, metrics, logging]),
    shell(
      "Store", path: "Shared/Store",
      ["ClusterModel", "CMongoC", "Files", "Money", crypto, grdb, grdbSQLite, logging]),
    // Separate from Store: an agent searches documents and does not need MongoDB.
    shell("Search", path: "Shared/Search", ["ClusterModel", grdb]),
    shell(
      "Overload", path: "Shared/Overload/Shell",
      ["OverloadCore", "Clocks", "ClusterModel", metrics, nioCore, nioPosix]),
    shell(
      "Inference", path: "Shared/Inference/Shell",
      [
        "InferenceCore", "Clocks", "ClusterModel", "ContentCoding", "Overload", "OverloadCore",
        asyncHTTPClient, nioCore, nioHTTP1,
        nioPosix,
        logging, metrics,
      ]),
    shell(
      "ServiceKit", path: "Shared/ServiceKit",
      [
        "Access", "Bus", "BusCore", "CAllocator", "CBuildInfo", "CCrash", "Clocks", "ClusterModel",
        "Files",
        "HostModel", "InferenceCore", "Overload", "OverloadCore", "Telemetry", "Text", crypto,
        hummingbird, hummingbirdCore, httpTypes,
        lifecycle, logging, metrics, nioCore, nioHTTP1, nioPosix, nioSSL, nioTLS, unixSignals, yams,
      ]),
    shell(
      "ClusterTesting", path: "Shared/ClusterTesting/Kit",
      ["ClusterModel", nioCore, nioHTTP1, nioPosix, logging]),
    // Answers cut at every position, for tests and benchmarks, without a socket.
    shell(
      "AnswerTesting", path: "Shared/ClusterTesting/Answers",
      ["ClusterModel", "InferenceCore"]),
    // Entry points of `make fuzz`, and of a test that replays its findings.
    shell(
      "FuzzEntries", path: "Shared/ClusterTesting/FuzzEntries",
      [
        "Access", "BusCore", "ClusterModel", "CommandLineCore", "GatewayCore", "HostModel",
        "InferenceCore", "Money", "PlannerCore", "RegistryCore", "Text", "Wire",
      ]),
    shell(
      "SettingsFuzzEntry", path: "Shared/ClusterTesting/SettingsFuzzEntry", ["ServiceKit"]),
    // A whole cluster on virtual time: the cores of all services around real bus machines.
    shell(
      "ClusterSimulation", path: "Shared/ClusterTesting/Simulation",
      [
        "AgentCore", "BusCore", "ClusterModel", "DispatcherCore", "GatewayCore", "HostModel",
        "InferenceCore", "OverloadCore", "PlannerCore", "RegistryCore", "Text", "Wire",
      ]),
    executable(
      "SimulateMain", path: "Shared/ClusterTesting/SimulateMain",
      ["ClusterSimulation", argumentParser]),
    executable(
      "FaultyHostMain", path: "Shared/ClusterTesting/FaultyHostMain",
      ["ClusterModel", "ClusterTesting", argumentParser]),

    // Services. Each has a pure Core, a Shell that tests can link, and the executable in Main.
    pure(
      "GatewayCore", path: "Services/Gateway/Core",
      ["Access", "ClusterModel", "HostModel", "InferenceCore", "Money", "Text"]),
    executable("GatewayMain", path: "Services/Gateway/Main", ["GatewayService"]),
    shell(
      "GatewayService", path: "Services/Gateway/Shell",
      [
        "Access", "BillingJournal", "GatewayCore", "Bus", "BusCore", "Clocks", "ClusterModel",
        "ContentCoding", "Files", "HostModel", "Inference",
        "InferenceCore", "Money", "Overload",
        "OverloadCore", "ServiceKit", "Telemetry", "Text", hummingbird, httpTypes,
        lifecycle, logging, metrics, nioCore,
      ]),
    pure(
      "RegistryCore", path: "Services/Registry/Core",
      ["Access", "ClusterModel", "HostModel", "Money", "Text"]),
    executable("RegistryMain", path: "Services/Registry/Main", ["RegistryService"]),
    shell(
      "RegistryService", path: "Services/Registry/Shell",
      [
        "Access", "RegistryCore", "Bus", "BusCore", "Clocks", "ClusterModel", "ContentCoding",
        "Files", "Inference", "InferenceCore", "Money", "Overload",
        "ServiceKit",
        "Store", "Telemetry", "Text", asyncHTTPClient, crypto, hummingbird, httpTypes, lifecycle,
        logging, metrics,
        nioCore, nioHTTP1,
        nioPosix,
      ]),
    pure("PlannerCore", path: "Services/Planner/Core", ["ClusterModel", "HostModel", "Text"]),
    executable("PlannerMain", path: "Services/Planner/Main", ["PlannerService"]),
    shell(
      "PlannerService", path: "Services/Planner/Shell",
      [
        "PlannerCore", "Bus", "BusCore", "ClusterModel", "ServiceKit", "Telemetry",
        lifecycle, logging, metrics,
      ]),
    pure(
      "DispatcherCore", path: "Services/Dispatcher/Core", ["ClusterModel", "HostModel", "Text"]),
    executable("DispatcherMain", path: "Services/Dispatcher/Main", ["DispatcherService"]),
    shell(
      "DispatcherService", path: "Services/Dispatcher/Shell",
      [
        "DispatcherCore", "Bus", "Clocks", "ClusterModel", "HostModel", "OverloadCore",
        "ServiceKit",
        "Telemetry", lifecycle, logging, metrics,
      ]),
    pure("AgentCore", path: "Services/Agents/Core", ["ClusterModel", "Text"]),
    shell(
      "AgentKit", path: "Services/Agents/Kit",
      [
        "AgentCore", "Bus", "BusCore", "ClusterModel", "HostModel", "Inference", "InferenceCore",
        "Search", "ServiceKit", "Telemetry", "Text", lifecycle, logging, metrics,
      ]),
    pure("MonitorCore", path: "Services/Monitor/Core", ["Access", "ClusterModel"]),
    executable("MonitorMain", path: "Services/Monitor/Main", ["MonitorService"]),
    shell(
      "MonitorService", path: "Services/Monitor/Shell",
      [
        "Access", "MonitorCore", "Bus", "BusCore", "Clocks", "ClusterModel", "Overload",
        "OverloadCore", "ServiceKit", "Store", "Telemetry",
        hummingbird, httpTypes, lifecycle, logging, metrics, nioCore,
      ]),
    pure(
      "CommandLineCore", path: "Services/CommandLine/Core",
      ["Access", "ClusterModel", "Money", "Text", yams]),
    shell(
      "EmbeddedModel", path: "Services/CommandLine/EmbeddedModel", [],
      exclude: ["requirements.txt"], resources: [.embedInCode("embedded_host.py")]),
    executable("CommandLineMain", path: "Services/CommandLine/Main", ["CommandLineService"]),
    shell(
      "CommandLineService", path: "Services/CommandLine/Shell",
      [
        "Access", "CommandLineCore", "EmbeddedModel", "Clocks", "ClusterModel", "Files",
        "InferenceSimulation",
        "ServiceKit", "Text", argumentParser, asyncHTTPClient, logging, nioCore, nioHTTP1,
        nioPosix, nioSSL,
      ]),
    // The executable of a distribution, which has the programs of all services.
    shell(
      "AllInOneService", path: "Services/AllInOne/Shell",
      [
        "AgentCode", "AgentCoordinator", "AgentCreative", "AgentCritic", "AgentReasoning",
        "AgentResearch", "ClusterModel", "CommandLineService", "DispatcherService",
        "GatewayService", "MonitorService", "PlannerService", "RegistryService", "ServiceKit",
        "Telemetry",
      ]),
    executable("AllInOneMain", path: "Services/AllInOne/Main", ["AllInOneService"]),

    // Tests.
    tests(
      "HouseTests",
      [
        "AgentKit", "AllInOneService", "ClusterModel", "CommandLineService", "DispatcherService",
        "GatewayService", "MonitorService", "PlannerService", "RegistryService", "ServiceKit",
        "Telemetry", logging, yams,
      ]),
    tests("ModelTests", ["ClusterModel", "ClusterTesting", "Text"]),
    tests(
      "PlanningTests", ["PlannerCore", "ClusterModel", "ClusterTesting", "Text"],
      exclude: ["prompts.json"]),
    tests(
      "WireTests",
      ["Access", "Wire", "BusCore", "ClusterModel", "ClusterTesting", "Money", "RegistryCore"],
      exclude: ["golden.py"]),
    tests(
      "BusTests",
      [
        "Bus", "BusCore", "Wire", "ClusterModel", "ClusterTesting", "RegistryCore", lifecycle,
        logging, nioCore, nioPosix,
      ]),
    tests(
      "InferenceCoreTests",
      [
        "InferenceCore", "InferenceSimulation", "AnswerTesting", "ClusterModel", "ClusterTesting",
        "HostModel", "Text",
      ],
      exclude: ["Recordings"]),
    tests(
      "InferenceTests",
      [
        "Inference", "InferenceCore", "AnswerTesting", "ClusterModel", "ClusterTesting",
        "ContentCoding", "Overload",
        logging, nioCore, nioHTTP1, nioPosix,
      ]),
    tests(
      "StoreTests",
      [
        "Files", "Money", "Search", "Store", "AgentCore", "ClusterModel", "ClusterTesting", "Text",
        grdb, logging, nioCore, nioPosix,
      ]),
    tests(
      "AgentTests",
      [
        "AgentCore", "AgentKit", "ClusterModel", "ClusterTesting", "Inference", "Telemetry",
        logging,
      ]),
    tests(
      "ServiceKitTests",
      [
        "Access", "ServiceKit", "Telemetry", "Bus", "BusCore", "ClusterModel", "ClusterTesting",
        "HostModel", "InferenceCore", "Overload", "OverloadCore",
        hummingbird, httpTypes, lifecycle, logging, metrics, coreMetrics, nioCore, nioEmbedded,
        nioHTTP1, nioPosix, nioSSL,
      ]),
    tests(
      "ServiceCoreTests",
      [
        "Access", "GatewayCore", "RegistryCore", "PlannerCore", "DispatcherCore", "AgentCore",
        "MonitorCore", "CommandLineCore", "ClusterModel", "ClusterTesting", "HostModel",
        "InferenceCore", "Money",
        "OverloadCore",
        "Text",
      ], exclude: ["triples.json"]),
    tests(
      "GatewayTests",
      [
        "Access", "BillingJournal", "GatewayService", "GatewayCore", "RegistryCore", "Bus",
        "BusCore", "ClusterModel", "ClusterTesting", "HostModel", "Inference", "InferenceCore",
        "Money", "Overload", "OverloadCore", "ServiceKit", "Telemetry",
        hummingbird, httpTypes, logging, nioCore,
      ]),
    tests(
      "MonitorTests",
      [
        "Access", "MonitorService", "Bus", "BusCore", "ClusterModel", "ServiceKit", "Store",
        "Telemetry", hummingbird, httpTypes, logging, nioCore, nioEmbedded,
      ]),
    tests(
      "DispatcherTests",
      ["ClusterModel", "DispatcherCore", "DispatcherService", "HostModel", "ServiceKit"]),
    tests(
      "RegistryTests",
      [
        "Access", "Bus", "BusCore", "ClusterModel", "Inference", "Money", "RegistryCore",
        "RegistryService", "ServiceKit", "Store", "Telemetry",
        asyncHTTPClient, grdb, hummingbird, httpTypes, logging, nioCore, nioEmbedded,
      ]),
    tests("MoneyTests", ["Money", "ClusterModel"]),
    tests("AccountTests", ["Access", "ClusterModel", "Money", "RegistryCore"]),
    tests("SpendingTests", ["GatewayCore", "ClusterModel", "InferenceCore", "Money", "Text"]),
    tests("BillingJournalTests", ["BillingJournal", "ClusterModel", "Files", "Money"]),
    tests("AccessTests", ["Access", "ClusterModel", crypto]),
    tests(
      "FuzzReplayTests", ["ClusterModel", "FuzzEntries", "PlannerCore", "SettingsFuzzEntry"]),
    tests("SimulationTests", ["ClusterSimulation"]),
    tests(
      "ClusterTests",
      ["ClusterTesting", "ClusterModel", asyncHTTPClient, nioCore, nioHTTP1, logging],
      exclude: [
        "apply_cli.py", "ask_output.py", "openai_client.py", "bad_input.py", "chat_cli.py",
        "keys_cli.py",
        "mailbox_noise.py", "manual_commands.py",
      ]),
  ]
    + agents
)

if let onlyTests {
  package.targets.removeAll { $0.type == .test && !onlyTests.contains($0.name) }
}
