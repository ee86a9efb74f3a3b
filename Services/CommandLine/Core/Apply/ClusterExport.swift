/// Writes the state of a cluster as a file for `tutti apply`.
public enum ClusterExport {
  /// The text of a file. Members with their default value are left out.
  ///
  /// - Parameters:
  ///   - sections: names of the kinds to write. Empty means all.
  ///   - now: milliseconds since 1970. Prices that are no longer in force at this time are left
  ///     out.
  public static func text(
    of state: ClusterState, only sections: Set<String> = [], now: Int64
  ) -> String {
    var lines = [
      "# Records of a Tutti cluster. `tutti apply -f FILE` makes a cluster equal to this file.",
      "# There are no secrets in it: credentials of hosts are references.",
    ]
    for kind in RecordKind.all
    where sections.isEmpty || sections.contains(kind.section) {
      guard !state.lacks(kind) else { continue }
      lines.append("")
      lines += section(kind, state[kind], now: now)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func section(
    _ kind: RecordKind, _ records: [ClusterRecord], now: Int64
  ) -> [String] {
    var lines: [String] = []
    if kind == .hosts, records.contains(where: { !$0.hasConfigured }) {
      lines = [
        "# dialect, resume, slots and models are left out: this registry does not return whether they",
        "# were set or reported by the host. Add those that were set.",
      ]
    }
    switch kind.identity {
    case .single:
      guard let record = records.first else { return [] }
      let written = members(of: record, kind)
      return lines
        + (written.isEmpty ? [] : ["\(kind.section):"] + written.map { "  " + $0 })
    case .map:
      if records.isEmpty { return lines + ["\(kind.section): {}"] }
      return lines + ["\(kind.section):"]
        + records.map { "  \(scalar($0.id)): \(flow($0.members["value"] ?? .null))" }
    case .member, .nameOrID, .prices:
      let entries = entries(kind, records, now: now)
      if entries.isEmpty { return lines + ["\(kind.section): []"] }
      return lines + ["\(kind.section):"]
        + entries.flatMap { entry in
          entry.enumerated().map { ($0.offset == 0 ? "  - " : "    ") + $0.element }
        }
    }
  }

  private static func entries(
    _ kind: RecordKind, _ records: [ClusterRecord], now: Int64
  ) -> [[String]] {
    switch kind.identity {
    case .prices:
      return prices(records, now: now).map { members(of: $0, kind) }
    case .nameOrID:
      let names = Dictionary(grouping: records, by: { $0.members["name"] })
      return records.map { record in
        let isUnique = names[record.members["name"]]?.count == 1
        return (isUnique ? [] : ["id: \(scalar(record.id))"]) + members(of: record, kind)
      }
    case .member(let name):
      return records.map { ["\(name): \(scalar($0.id))"] + members(of: $0, kind) }
    case .single, .map: return []
    }
  }

  /// Prices in force, without the time of their start, and prices that start later.
  private static func prices(_ records: [ClusterRecord], now: Int64) -> [ClusterRecord] {
    let rows = PriceRows(records.map { PriceListing($0.members) }, at: now)
    let listed = Set(rows.inForceAndLater)
    return records.filter { listed.contains(PriceListing($0.members)) }.map { record in
      var record = record
      if PriceListing(record.members).start <= now { record.members["effective_from_ms"] = .null }
      return record
    }
  }

  /// Returns one line per member. An object and a list of objects have further lines, one for each
  /// of their members or elements.
  private static func members(of record: ClusterRecord, _ kind: RecordKind) -> [String] {
    kind.members.flatMap { member -> [String] in
      guard record.isSet(member), let value = record.members[member.name], value != .null,
        value != member.absentValue, !(member.isLearned && value.meansReported)
      else { return [] }
      if case .list(let elements) = value, case .object? = elements.first {
        return ["\(member.name):"] + elements.map { "  - \(flow($0))" }
      }
      if case .object(let inner) = value, case .object(let known) = member.shape {
        return ["\(member.name):"]
          + known.compactMap { member -> String? in
            guard let value = inner[member.name], value != member.absentValue else { return nil }
            return "  \(member.name): \(flow(value))"
          }
      }
      return ["\(member.name): \(flow(value))"]
    }
  }

  // MARK: - YAML

  /// A value on one line.
  private static func flow(_ value: RecordValue) -> String {
    switch value {
    case .null: "null"
    case .boolean(let isTrue): "\(isTrue)"
    case .integer(let number): "\(number)"
    case .number(let number): "\(number)"
    case .text(let text): scalar(text)
    case .list(let elements): "[" + elements.map(flow).joined(separator: ", ") + "]"
    case .object(let members):
      "{"
        + members.sorted { $0.key < $1.key }.map { "\(scalar($0.key)): \(flow($0.value))" }
        .joined(separator: ", ") + "}"
    }
  }

  private static let ownMeaning: Set<String> = [
    "true", "false", "yes", "no", "on", "off", "y", "n", "null",
  ]

  /// Returns the text as a YAML scalar. Quotes are left out only if every YAML reader returns the
  /// same text without them.
  static func scalar(_ text: String) -> String {
    let bytes = Array(text.utf8)
    func isLetter(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
    let isPlain =
      bytes.first.map(isLetter) ?? false
      && bytes.allSatisfy { byte in
        isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || [UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "-")]
            .contains(byte)
      }
    return isPlain && !ownMeaning.contains(text.lowercased()) ? text : quoted(text)
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22, 0x5C: quoted += "\\\(scalar)"
      // Characters that YAML must escape, line breaks of YAML, and characters that can disguise a
      // name.
      case 0..<0x20, 0x7F...0x9F, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFFE,
        0xFFFF:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
