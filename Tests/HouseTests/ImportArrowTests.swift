import Testing

/// Checks that imports go one way (docs/ARCHITECTURE.md).
///
/// `Package.swift` lists what each module may import. These tests compare the sources with that
/// list, and the list with the rules that a manifest cannot express.
@Suite("Import arrows")
struct ImportArrowTests {
  private let targets: [PackageManifest.Target]

  init() throws {
    targets = try PackageManifest().targets
  }

  /// The manifest's helpers add `Limits` to every target.
  private static let implicit: Set<String> = ["Limits"]

  /// The folders that may import each module of C.
  private static let owners: [String: Set<String>] = [
    "CAllocator": ["Shared/ServiceKit"],
    "CBuildInfo": ["Shared/ServiceKit"],
    "CCompression": ["Shared/ContentCoding"],
    "CCrash": ["Shared/ServiceKit"],
    "CMongoC": ["Shared/Store"],
    "CNanomsg": ["Shared/Bus/Shell"],
    "CProtobufC": ["Shared/ClusterProto", "Shared/Wire"],
    "ClusterProto": ["Shared/Wire"],
  ]

  @Test("a module imports exactly the modules of this package that the manifest lists for it")
  func arrows() throws {
    let own = Set(targets.map(\.name))
    for target in targets {
      let files = try SourceTree.swiftFiles(under: target.path)
      guard !files.isEmpty else { continue }
      var imported: Set<String> = []
      for file in files {
        let modules = own.intersection(file.imports).subtracting(Self.implicit)
        #expect(
          modules.isSubset(of: target.dependencies),
          "\(file.path) imports \(modules.subtracting(target.dependencies).sorted())")
        imported.formUnion(modules)
      }
      let unused = target.dependencies.subtracting(imported)
      #expect(unused.isEmpty, "Package.swift: \(target.name) never imports \(unused.sorted())")
    }
  }

  @Test("every source file belongs to one module")
  func complete() throws {
    for file in try SourceTree.swiftFiles(under: "Shared")
      + SourceTree.swiftFiles(under: "Services")
    {
      let homes = targets.filter { file.path.hasPrefix($0.path + "/") }.map(\.name)
      #expect(homes.count == 1, "\(file.path) is in \(homes)")
    }
  }

  @Test("a pure module depends on pure modules and on the generated messages")
  func pure() {
    let allowed = Set(targets.filter(\.isPure).map(\.name))
      .union(["Limits", "ClusterProto", "CProtobufC"])
    for target in targets where target.isPure {
      #expect(target.dependencies.isSubset(of: allowed), "\(target.name)")
    }
  }

  @Test("no service imports another")
  func services() {
    let homes = Dictionary(uniqueKeysWithValues: targets.map { ($0.name, $0.service) })
    for target in targets {
      for module in target.dependencies {
        guard let home = homes[module], let service = home else { continue }
        // The fuzzers' entry points and the simulated cluster may use the cores of several
        // services. The executable of a distribution only starts the services' processes.
        #expect(
          target.service == service
            || ["FuzzEntries", "ClusterSimulation", "AllInOneService"].contains(target.name),
          "\(target.name) depends on \(module)")
      }
    }
  }

  @Test("only the owner of a C library imports it")
  func libraries() throws {
    let modules = try targets.filter {
      try SourceTree.swiftFiles(under: $0.path).isEmpty
    }.map(\.name)
    #expect(Set(modules) == Set(Self.owners.keys), "a C module has no owner in this test")
    for target in targets {
      for module in target.dependencies {
        guard let owners = Self.owners[module] else { continue }
        #expect(owners.contains(target.path), "\(target.name) depends on \(module)")
      }
    }
  }
}
