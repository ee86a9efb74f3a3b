import Testing

/// Checks that imports go one way (docs/ARCHITECTURE.md).
///
/// Each folder may import the modules listed for it, and only the listed folders import the C
/// libraries.
@Suite("Import arrows")
struct ImportArrowTests {
  /// Folders of this package, with the own modules that each may import.
  static let allowed: [(folder: String, modules: Set<String>)] =
    [
      ("Shared/Limits", []),
      ("Shared/ClusterModel", []),
      ("Shared/Wire", ["ClusterModel", "ClusterProto", "CProtobufC"]),
      ("Shared/Text", []),
      ("Shared/Bus/Core", ["ClusterModel", "Wire"]),
      ("Shared/Overload/Core", ["ClusterModel"]),
      ("Shared/Overload/Shell", ["OverloadCore", "ClusterModel"]),
      ("Shared/Bus/Shell", ["BusCore", "ClusterModel", "Wire", "CNanomsg"]),
      ("Shared/Telemetry", ["ClusterModel"]),
      ("Shared/Files", []),
      ("Shared/ContentCoding", ["CCompression"]),
      ("Shared/Store", ["ClusterModel", "CMongoC", "Files"]),
      ("Shared/Search", ["ClusterModel"]),
      ("Shared/Inference/Core", ["ClusterModel", "Text"]),
      ("Shared/Inference/Simulation", ["InferenceCore", "ClusterModel"]),
      (
        "Shared/Inference/Shell",
        ["InferenceCore", "ClusterModel", "ContentCoding", "Overload", "OverloadCore", "Text"]
      ),
      (
        "Shared/ServiceKit",
        [
          "Bus", "BusCore", "CAllocator", "CCrash", "ClusterModel", "Files", "InferenceCore",
          "Overload",
          "OverloadCore", "Telemetry", "Text", "Wire",
        ]
      ),
      ("Shared/ClusterTesting/Kit", ["ClusterModel"]),
      ("Shared/ClusterTesting/FaultyHostMain", ["ClusterTesting"]),
      (
        "Shared/ClusterTesting/FuzzEntries",
        [
          "BusCore", "ClusterModel", "GatewayCore", "InferenceCore", "PlannerCore", "RegistryCore",
          "Text", "Wire",
        ]
      ),
      ("Shared/ClusterTesting/SettingsFuzzEntry", ["ServiceKit"]),
      ("Shared/ClusterTesting/Answers", ["ClusterModel", "InferenceCore"]),
      ("Services/Gateway/Core", ["ClusterModel", "Text"]),
      ("Services/Registry/Core", ["ClusterModel", "Text"]),
      ("Services/Planner/Core", ["ClusterModel", "Text"]),
      ("Services/Dispatcher/Core", ["ClusterModel", "Text"]),
      ("Services/Agents/Core", ["ClusterModel", "Text"]),
      ("Services/Monitor/Core", ["ClusterModel"]),
      ("Services/CommandLine/Core", ["ClusterModel"]),
      (
        "Services/Gateway/Shell",
        [
          "GatewayCore", "Bus", "BusCore", "ClusterModel", "ContentCoding", "Inference",
          "InferenceCore",
          "Overload", "OverloadCore", "ServiceKit",
          "Telemetry", "Text", "Wire",
        ]
      ),
      (
        "Services/Registry/Shell",
        [
          "RegistryCore", "Bus", "BusCore", "ClusterModel", "ContentCoding", "Files", "Inference",
          "ServiceKit",
          "Store", "Telemetry", "Wire",
        ]
      ),
      (
        "Services/Planner/Shell",
        ["PlannerCore", "Bus", "BusCore", "ClusterModel", "ServiceKit", "Telemetry", "Wire"]
      ),
      (
        "Services/Dispatcher/Shell",
        [
          "DispatcherCore", "Bus", "BusCore", "ClusterModel", "OverloadCore", "ServiceKit",
          "Telemetry", "Wire",
        ]
      ),
      (
        "Services/Agents/Kit",
        [
          "AgentCore", "Bus", "BusCore", "ClusterModel", "Inference", "InferenceCore", "Search",
          "ServiceKit", "Telemetry", "Text", "Wire",
        ]
      ),
      (
        "Services/Monitor/Shell",
        [
          "MonitorCore", "Bus", "BusCore", "ClusterModel", "ServiceKit", "Store", "Telemetry",
          "Wire",
        ]
      ),
      (
        "Services/CommandLine/Shell",
        [
          "CommandLineCore", "EmbeddedModel", "ClusterModel", "Files", "InferenceSimulation",
          "ServiceKit",
          "Bus",
          "Telemetry", "Text",
        ]
      ),
    ]
    + ["Gateway", "Registry", "Planner", "Dispatcher", "Monitor", "CommandLine"].map {
      ("Services/\($0)/Main", ["\($0)Service"])
    }
    + ["Research", "Reasoning", "Creative", "Code", "Critic", "Coordinator"].map {
      ("Services/Agents/\($0)", ["AgentKit", "AgentCore", "ClusterModel"])
    }

  static let ours: Set<String> = [
    "ClusterModel", "Wire", "ClusterProto", "Text", "BusCore", "Bus", "CNanomsg", "CProtobufC",
    "CAllocator", "CCrash", "CMongoC", "CCompression", "ContentCoding", "Files", "Overload",
    "OverloadCore",
    "Telemetry", "Store", "Search",
    "InferenceCore", "Inference", "ServiceKit",
    "ClusterTesting",
    "AnswerTesting", "FuzzEntries", "SettingsFuzzEntry",
    "GatewayCore", "RegistryCore", "PlannerCore", "DispatcherCore", "AgentCore", "AgentKit",
    "MonitorCore", "CommandLineCore", "EmbeddedModel",
    "GatewayService", "RegistryService", "PlannerService", "DispatcherService", "MonitorService",
    "CommandLineService",
  ]

  @Test("no room imports what it may not", arguments: allowed.map(\.folder))
  func arrows(folder: String) throws {
    let modules = try #require(Self.allowed.first { $0.folder == folder }).modules
    let files = try SourceTree.swiftFiles(under: folder)
    #expect(!files.isEmpty, "\(folder) holds no Swift file: mend the table in this test")
    for file in files {
      // Every folder may import `Limits`, which is not in `ours`.
      for module in file.imports where Self.ours.contains(module) {
        #expect(modules.contains(module), "\(file.path) imports \(module)")
      }
    }
  }

  @Test("every folder of sources has its line in the table")
  func tableIsComplete() throws {
    let folders = Self.allowed.map(\.folder) + ["Services/CommandLine/EmbeddedModel"]
    for file in try SourceTree.swiftFiles(under: "Shared")
      + SourceTree.swiftFiles(under: "Services")
    {
      #expect(
        folders.contains { file.path.hasPrefix($0 + "/") }, "\(file.path) is in no listed folder")
    }
  }
}
