public import ClusterModel

/// Configured requirements on hosts, in addition to those on state and standing.
public struct EligibilityRules: Hashable, Sendable {
  /// Minimum version of each server software. The names are those that probes report, for example
  /// "vLLM" → "0.6.3". A host with no version or with other software is allowed.
  var minimumVersions: [String: String]

  public init(minimumVersions: [String: String] = [:]) { self.minimumVersions = minimumVersions }

  /// - Parameter lines: minimum versions, each like `vLLM=0.6.3`.
  /// - Throws: `UnreadableVersion` with the first malformed line.
  public init(minimumVersions lines: [String]) throws(UnreadableVersion) {
    self.init()
    for line in lines {
      let parts = line.split(separator: "=", maxSplits: 1).map { String($0) }
      guard parts.count == 2, !parts[0].contains("="),
        let version = SoftwareVersion("\(parts[0]) \(parts[1])"), !version.numbers.isEmpty
      else { throw UnreadableVersion(line: line) }
      minimumVersions[parts[0]] = parts[1]
    }
  }

  /// A line without a software name and a version.
  public struct UnreadableVersion: Error, Hashable, Sendable {
    public var line: String
  }

  /// Whether the host's software is at least as new as required.
  public func allow(_ host: Host) -> Bool { refusal(of: host) == nil }

  func refusal(of host: Host) -> HostNeed.Refusal? {
    guard !minimumVersions.isEmpty, let text = host.version, let version = SoftwareVersion(text)
    else { return nil }
    // The versions are sorted, so that the reason does not depend on the order of the dictionary.
    for (name, minimum) in minimumVersions.sorted(by: { $0.key < $1.key })
    where name.lowercased() == version.name {
      guard let least = SoftwareVersion("\(name) \(minimum)"),
        version.numbers.lexicographicallyPrecedes(least.numbers)
      else { continue }
      return .tooOld(version: text, minimum: minimum)
    }
    return nil
  }
}

/// A software name and version numbers, such as "llama.cpp b4321-0a1b2c" or "vLLM 0.6.3.post1".
struct SoftwareVersion: Hashable, Sendable {
  /// Name of the software in lower case.
  var name: String
  var numbers: [Int]

  init?(_ text: String) {
    let words = text.split(separator: " ")
    guard let last = words.last, let start = last.firstIndex(where: \.isWholeNumber) else {
      return nil
    }
    name = words.dropLast().joined(separator: " ").lowercased()
    // Stop at the first part that is not a number, such as a suffix or a commit.
    numbers = []
    for part in last[start...].split(separator: ".") {
      let digits = part.prefix(while: \.isWholeNumber)
      guard let number = Int(digits) else { break }
      numbers.append(number)
      if digits.count < part.count { break }
    }
  }
}

extension Host {
  /// Name of the server software that probes report, in lower case, otherwise the dialect. Hosts
  /// with equal names have the same faults.
  public var softwareName: String {
    version.flatMap(SoftwareVersion.init)?.name ?? dialect.rawValue
  }
}
