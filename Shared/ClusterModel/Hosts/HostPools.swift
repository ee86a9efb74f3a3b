import Limits

/// Host pools whose hosts may serve a request. A pool is a tag: all hosts with the tag belong to it.
public struct HostPools: Hashable, Sendable {
  /// Names of the pools. Empty means that every host may serve.
  public let names: Set<String>

  /// The pools that admit every host.
  public static let all = HostPools([])

  public init(_ names: some Sequence<String>) { self.names = Set(names) }

  public var sortedNames: [String] { names.sorted() }

  /// Whether a host with these tags may serve.
  public func admits(tags: [String]) -> Bool {
    names.isEmpty || tags.contains { names.contains($0) }
  }

  /// The first names for a sentence: "eu, gpu and 3 more".
  public var summary: String {
    let sorted = sortedNames
    let shown = sorted.prefix(3).map { $0.cut(toBytes: Limits.tagBytes.value) }
      .joined(separator: ", ")
    return sorted.count > 3 ? "\(shown) and \(sorted.count - 3) more" : shown
  }

  /// The restriction to these pools for a sentence, followed by a space. Empty for all hosts.
  public var condition: String { names.isEmpty ? "" : "in the key's host pools (\(summary)) " }
}

extension HostTable {
  /// The table with only the hosts that these pools admit and that may see data of the policy.
  public func limited(to pools: HostPools, policy: DataPolicy = .any) -> HostTable {
    func isReachable(_ host: Host) -> Bool {
      host.trust >= policy && pools.admits(tags: host.tags)
    }
    guard !pools.names.isEmpty || policy > .any, !hosts.allSatisfy(isReachable) else {
      return self
    }
    var limited = self
    limited.hosts.removeAll { !isReachable($0) }
    return limited
  }
}

/// Rules for the tags and the region of a host.
public enum HostTags {
  /// Whether the name has 1 to `table.tag_bytes` characters of a–z, 0–9, `.`, `_` and `-`.
  public static func isName(_ name: String) -> Bool {
    (1...Limits.tagBytes.value).contains(name.utf8.count) && name.utf8.allSatisfy(isAllowed)
  }

  /// Returns the names sorted and without duplicates. `nil` means that the list is too long or has
  /// a name that is not allowed.
  public static func checked(_ names: [String]) -> [String]? {
    guard names.count <= Limits.hostTags.value, names.allSatisfy(isName) else { return nil }
    return Set(names).sorted()
  }

  /// Description of a valid name, for errors.
  public static var rule: String {
    "1 to \(Limits.tagBytes.value) characters of a–z, 0–9, ., _ and -"
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
