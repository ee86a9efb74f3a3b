/// A setting as the registry's admin API shows it.
public struct SettingRow: Decodable, Sendable {
  public let id: String
  /// `nil` means that no admin has set the setting.
  let value: String?
  let standard: String
  let range: String
  public let description: String

  private enum CodingKeys: String, CodingKey {
    case id, value, range, description
    case standard = "default"
  }

  private struct Range: Decodable {
    let minimum: Int?
    let maximum: Int?
    let values: [String]?
    let maximumBytes: Int?

    enum CodingKeys: String, CodingKey {
      case minimum, maximum, values
      case maximumBytes = "maximum_bytes"
    }

    var text: String {
      if maximumBytes != nil { return "a name" }
      if let values { return values.joined(separator: ", ") }
      guard let minimum, let maximum else { return "" }
      return "\(minimum)–\(maximum)"
    }
  }

  /// A value of any kind, as text.
  private struct Value: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      // A newer registry may have settings of other kinds.
      if let number = try? value.decode(Int.self) {
        text = "\(number)"
      } else if let number = try? value.decode(Double.self) {
        text = "\(number)"
      } else if let isOn = try? value.decode(Bool.self) {
        text = "\(isOn)"
      } else {
        text = try value.decode(String.self)
      }
    }
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    id = try members.decode(String.self, forKey: .id)
    value = try members.decodeIfPresent(Value.self, forKey: .value)?.text
    standard = try members.decode(Value.self, forKey: .standard).text
    range = try members.decode(Range.self, forKey: .range).text
    description = try members.decode(String.self, forKey: .description)
  }

  /// JSON of one setting in the registry's list of all settings. `nil` means that the list does not
  /// have the setting.
  public static func json(of id: String, in list: some Sequence<UInt8>) -> [UInt8]? {
    RecordValue(json: Array(list))?["data"]?.elements?.first { $0["id"] == .text(id) }?.encoded
  }

  public static func table(_ rows: [SettingRow]) -> TextTable {
    var table = TextTable([
      ("setting", .left), ("value", .left), ("default", .left), ("range", .left),
    ])
    for row in rows {
      table.append([row.id, row.value ?? "-", row.standard, row.range])
    }
    return table
  }
}
