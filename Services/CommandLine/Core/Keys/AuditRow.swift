import ClusterModel
import Text

/// A change as the registry's audit log shows it.
public struct AuditRow: Decodable, Sendable {
  /// Number of the change. It grows with every change.
  let position: Int64
  /// Milliseconds since 1970.
  let time: Int64
  /// Who made the change.
  let author: String
  let kind: String
  public let id: String
  /// Members of the record before the change. `nil` means that the record was absent.
  let before: [String: String]?
  /// Members of the record after the change. `nil` means that the record was removed.
  let after: [String: String]?

  enum CodingKeys: String, CodingKey {
    case position, author, kind, id, before, after
    case time = "time_ms"
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    position = try members.decode(Int64.self, forKey: .position)
    time = try members.decode(Int64.self, forKey: .time)
    author = try members.decode(String.self, forKey: .author)
    kind = try members.decode(String.self, forKey: .kind)
    id = try members.decode(String.self, forKey: .id)
    before = try members.decodeIfPresent(AuditValue.self, forKey: .before)?.members
    after = try members.decodeIfPresent(AuditValue.self, forKey: .after)?.members
  }

  /// Maximum bytes of a value in the table.
  private static let longestValue = 60

  /// The change in a few words: `created`, `removed`, or each member that differs.
  var summary: String {
    guard let before else { return after == nil ? "-" : "created" }
    guard let after else { return "removed" }
    func shown(_ value: String?) -> String {
      guard let value else { return "none" }
      let cut = value.cut(toBytes: Self.longestValue)
      return cut == value ? value : cut + "…"
    }
    let changed = Set(before.keys).union(after.keys).sorted().filter { before[$0] != after[$0] }
    guard !changed.isEmpty else { return "unchanged" }
    return changed.map { "\($0): \(shown(before[$0])) → \(shown(after[$0]))" }
      .joined(separator: ", ")
  }

  public static func table(_ rows: [AuditRow]) -> TextTable {
    var table = TextTable([
      ("at", .right), ("time", .left), ("author", .left), ("kind", .left), ("id", .left),
      ("change", .left),
    ])
    for row in rows {
      table.append([
        "\(row.position)", KeyTime.text(row.time), row.author, row.kind, row.id, row.summary,
      ])
    }
    return table
  }
}

/// A JSON value of a record, which is shown as text.
private enum AuditValue: Decodable {
  case object([String: AuditValue])
  case array([AuditValue])
  case string(String)
  case other(String)

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .other("null")
    } else if let boolean = try? value.decode(Bool.self) {
      self = .other("\(boolean)")
    } else if let integer = try? value.decode(Int64.self) {
      self = .other("\(integer)")
    } else if let number = try? value.decode(Double.self) {
      self = .other("\(number)")
    } else if let text = try? value.decode(String.self) {
      self = .string(text)
    } else if let elements = try? value.decode([AuditValue].self) {
      self = .array(elements)
    } else {
      self = .object(try value.decode([String: AuditValue].self))
    }
  }

  /// Members of an object as text. Any other value becomes one member with the name `value`.
  var members: [String: String] {
    if case .object(let members) = self { return members.mapValues(\.text) }
    return ["value": text]
  }

  private var text: String {
    switch self {
    case .string(let text), .other(let text): text
    case .array(let elements): "[" + elements.map(\.text).joined(separator: " ") + "]"
    case .object(let members):
      "{"
        + members.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.text)" }
        .joined(separator: " ") + "}"
    }
  }
}
