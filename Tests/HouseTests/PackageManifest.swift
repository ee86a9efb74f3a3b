import Testing

/// The targets of the product, read from `Package.swift` as text.
///
/// The manifest is the only list of modules and of the arrows between them.
struct PackageManifest {
  struct Target {
    let name: String
    /// Folder relative to the root.
    let path: String
    /// Modules of this package that the target declares.
    let dependencies: Set<String>
    /// Whether the target is declared with `pure`.
    let isPure: Bool

    /// `Gateway` for a target below `Services/Gateway`; `nil` means that services share it.
    var service: Substring? {
      let parts = path.split(separator: "/")
      return parts.first == "Services" && parts.count > 1 ? parts[1] : nil
    }
  }

  let targets: [Target]

  init() throws {
    let text = try SourceTree.text("Package.swift")
    let roles = try #require(text.firstMatch(of: /let roles = \[([^\]]*)\]/)).1
    var found: [Target] = []
    // A helper of the manifest: shell("Files", path: "Shared/Files", [ … ]).
    let helper =
      #/\b(pure|shell|executable)\(\s*"([^"]+)",\s*path:\s*"([^"]+)"(?:,\s*\[([^\]]*)\])?/#
    for match in text.matches(of: helper) {
      found.append(
        Target(
          name: String(match.2), path: String(match.3),
          dependencies: Self.literals(match.4 ?? ""), isPure: match.1 == "pure"))
    }
    let plain =
      #/\.(?:target|systemLibrary)\(\s*name:\s*"([^"]+)",(?:\s*dependencies:\s*\[([^\]]*)\],)?\s*path:\s*"([^"]+)"/#
    for match in text.matches(of: plain) {
      found.append(
        Target(
          name: String(match.1), path: String(match.3),
          dependencies: Self.literals(match.2 ?? ""), isPure: false))
    }
    try #require(
      found.count == text.matches(of: /path: "(Shared|Services)\//).count,
      "a target is declared in a form that this test cannot read")
    targets = found.flatMap { target in
      guard target.name.contains(#"\($0)"#) else { return [target] }
      return Self.literals(roles).map { role in
        Target(
          name: target.name.replacing(#"\($0)"#, with: role),
          path: target.path.replacing(#"\($0)"#, with: role),
          dependencies: Set(target.dependencies.map { $0.replacing(#"\($0)"#, with: role) }),
          isPure: target.isPure)
      }
    }
  }

  private static func literals(_ text: Substring) -> Set<String> {
    Set(text.matches(of: /"([^"]+)"/).map { String($0.1) })
  }
}
