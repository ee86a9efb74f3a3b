/// The part of JSON Schema that is checked: `type`, `properties`, `required`, `enum`, `items`,
/// `minItems`, `maxItems` and `maxLength`.
/// Other keywords are left to hosts that enforce schemas. Members that the schema does not name are
/// allowed.
public struct ContractSchema: Sendable {
  /// Empty means any type.
  private var types: Set<String> = []
  /// Names of the members that an object must have.
  public private(set) var required: [String] = []
  private var properties: [String: ContractSchema] = [:]
  /// Schema of an array's elements, or empty if there is none. The schema is wrapped in an array,
  /// because a value type cannot contain itself.
  private var items: [ContractSchema] = []
  /// Empty means any value.
  private var choices: [Scalar] = []
  /// `choices` as a set, for lookups.
  private var choiceSet: Set<Scalar> = []
  private var minimumItems = 0
  private var maximumItems = Int.max
  /// In code points.
  private var maximumLength = Int.max

  /// An `enum` value; objects and arrays are compared byte for byte.
  private enum Scalar: Hashable {
    case text(String)
    case number(Double)
    case written([UInt8])
  }

  /// Accepts any valid JSON.
  public init() {}

  /// - Returns: `nil` if the text is not a schema.
  public init?(_ schema: String) {
    guard let document = try? JSONDocument(validating: Array(schema.utf8)),
      document.root.kind == .object
    else { return nil }
    self.init(document.root, document)
  }

  /// The recursion is bounded, because the document's depth was checked.
  private init(_ value: JSONValue, _ document: JSONDocument) {
    document.forEachMember(of: value) { member in
      let value = member.value
      switch member.name {
      case "type":
        let names = value.kind == .array ? document.elements(of: value) : [value]
        types = Set(names.compactMap(document.string))
      case "required": required = document.elements(of: value).compactMap(document.string)
      case "properties":
        document.forEachMember(of: value) {
          properties[$0.name] = ContractSchema($0.value, document)
          return true
        }
      case "items": items = value.kind == .object ? [ContractSchema(value, document)] : []
      case "enum":
        choices = document.elements(of: value).map { Self.scalar($0, document) }
        choiceSet = Set(choices)
      case "minItems": minimumItems = document.integer(value) ?? 0
      case "maxItems": maximumItems = document.integer(value) ?? .max
      case "maxLength": maximumLength = document.integer(value) ?? .max
      default: break
      }
      return true
    }
  }

  /// Whether a value of this kind could fit.
  public func takes(_ kind: JSONKind) -> Bool {
    types.isEmpty || types.contains(kind.rawValue) || kind == .number && types.contains("integer")
  }

  /// Whether the schema names the member and the value fits it.
  public func allows(_ json: String, as member: String) -> Bool {
    guard let schema = properties[member],
      let document = try? JSONDocument(validating: Array(json.utf8))
    else { return false }
    return schema.mistake(in: document.root, document) == nil
  }

  /// Describes the first mistake in a value, for the model that wrote it. `nil` means that it fits.
  ///
  /// - Parameter path: the value's name in the message; empty means the root.
  public func mistake(
    in value: JSONValue, _ document: JSONDocument, at path: String = ""
  ) -> String? {
    let name = path.isEmpty ? "the value" : "\"\(path)\""
    guard fitsType(value, document) else {
      return "\(name) must be \(types.sorted().joined(separator: " or ")), not \(value.kind)"
    }
    if !choices.isEmpty, !choiceSet.contains(Self.scalar(value, document)) {
      return "\(name) must be one of \(choices.map(Self.shown).joined(separator: ", "))"
    }
    switch value.kind {
    case .string:
      guard maximumLength < .max, let text = document.string(value),
        text.unicodeScalars.count > maximumLength
      else { return nil }
      return "\(name) must have at most \(maximumLength) characters"
    case .array: return mistake(inArray: value, document, path, name)
    case .object: return mistake(inObject: value, document, path)
    case .number, .boolean, .null: return nil
    }
  }

  private func fitsType(_ value: JSONValue, _ document: JSONDocument) -> Bool {
    takes(value.kind)
      && (value.kind != .number || types.isEmpty || types.contains("number")
        || document.integer(value) != nil)
  }

  private func mistake(
    inArray value: JSONValue, _ document: JSONDocument, _ path: String, _ name: String
  ) -> String? {
    var count = 0
    var mistake: String?
    document.forEachElement(of: value) { element in
      mistake = items.first?.mistake(in: element, document, at: "\(path)[\(count)]")
      count += 1
      return mistake == nil && count <= maximumItems
    }
    if let mistake { return mistake }
    if count < minimumItems { return "\(name) must have at least \(minimumItems) items" }
    if count > maximumItems { return "\(name) must have at most \(maximumItems) items" }
    return nil
  }

  private func mistake(
    inObject value: JSONValue, _ document: JSONDocument, _ path: String
  ) -> String? {
    var mistake: String?
    var missing = Set(required)
    document.forEachMember(of: value) { member in
      missing.remove(member.name)
      let place = path.isEmpty ? member.name : "\(path).\(member.name)"
      mistake = properties[member.name]?.mistake(in: member.value, document, at: place)
      return mistake == nil
    }
    if let mistake { return mistake }
    guard let first = required.first(where: missing.contains) else { return nil }
    return "\"\(path.isEmpty ? first : "\(path).\(first)")\" is missing"
  }

  private static func scalar(_ value: JSONValue, _ document: JSONDocument) -> Scalar {
    if let text = document.string(value) { return .text(text) }
    if let number = document.number(value) { return .number(number) }
    return .written(Array(document.slice(value)))
  }

  private static func shown(_ scalar: Scalar) -> String {
    switch scalar {
    case .text(let text): "\"\(text)\""
    case .number(let number):
      Int(exactly: number).map { "\($0)" } ?? "\(number)"
    case .written(let bytes): String(decoding: bytes, as: UTF8.self)
    }
  }
}
