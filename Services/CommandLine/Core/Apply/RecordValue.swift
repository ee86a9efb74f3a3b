import Text

/// A value of a record's member, in JSON and in a cluster file.
public enum RecordValue: Hashable, Sendable {
  case null
  case boolean(Bool)
  case integer(Int)
  /// A number with a fraction.
  case number(Double)
  case text(String)
  case list([RecordValue])
  case object([String: RecordValue])

  /// Parses an answer of the registry. `nil` means that the answer is not JSON.
  public init?(json: [UInt8]) {
    guard let document = try? JSONDocument(validating: json) else { return nil }
    self.init(document.root, in: document)
  }

  private init(_ value: JSONValue, in document: JSONDocument) {
    switch value.kind {
    case .null: self = .null
    case .boolean: self = .boolean(document.boolean(value) ?? false)
    case .number:
      if let integer = document.integer(value) {
        self = .integer(integer)
      } else {
        self = .number(document.number(value) ?? 0)
      }
    case .string: self = .text(document.string(value) ?? "")
    case .array:
      self = .list(document.eachElement(of: value).map { RecordValue($0, in: document) })
    case .object:
      // If two members have the same name, the first one counts.
      self = .object(
        Dictionary(
          document.eachMember(of: value).map { ($0.name, RecordValue($0.value, in: document)) },
          uniquingKeysWith: { first, _ in first }))
    }
  }

  /// JSON for the body of a request. Members are sorted by name.
  public var encoded: [UInt8] { json.encoded }

  private var json: JSON {
    switch self {
    case .null: .null
    case .boolean(let isTrue): .boolean(isTrue)
    case .integer(let number): .integer(number)
    case .number(let number): .raw(Array("\(number)".utf8))
    case .text(let text): .string(text)
    case .list(let elements): .array(elements.map(\.json))
    case .object(let members):
      .object(members.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })
    }
  }

  /// Member of an object. `nil` means that the object has no such member, or that the value is no
  /// object.
  public subscript(_ name: String) -> RecordValue? {
    if case .object(let members) = self { members[name] } else { nil }
  }

  public var text: String? { if case .text(let text) = self { text } else { nil } }

  public var integer: Int? { if case .integer(let number) = self { number } else { nil } }

  /// Whether the value of a learned member means that the host's own report applies.
  var meansReported: Bool {
    [.null, .list([]), .text(ClusterState.learned)].contains(self)
  }

  public var elements: [RecordValue]? { if case .list(let list) = self { list } else { nil } }

  /// The value as people read it in a comparison: text without quotes, lists in brackets.
  var shown: String {
    switch self {
    case .null: "none"
    case .boolean(let isTrue): "\(isTrue)"
    case .integer(let number): "\(number)"
    case .number(let number): "\(number)"
    case .text(let text): text
    case .list(let elements): "[" + elements.map(\.shown).joined(separator: ", ") + "]"
    case .object(let members):
      "{"
        + members.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.shown)" }
        .joined(separator: ", ") + "}"
    }
  }

  /// Order of values in a list whose order has no meaning.
  static func precedes(_ left: RecordValue, _ right: RecordValue) -> Bool {
    left.shown < right.shown
  }
}
