import ClusterModel
import Foundation
import Hummingbird

/// Members of a JSON object in a request's body. They must have known names and the right types.
struct JSONFields {
  private let members: [String: JSONScalar]
  /// Path of the object in the body, with a dot at its end, for errors. Empty for the body itself.
  private let prefix: String

  private init(_ members: [String: JSONScalar], prefix: String) {
    self.members = members
    self.prefix = prefix
  }

  /// - Parameter isOptional: `true` means that an empty body is accepted as an object without
  ///   members.
  init(_ request: Request, isOptional: Bool = false) async throws {
    // The server has already refused a larger body.
    let buffer = try await request.body.collect(upTo: 64 * 1024)
    guard !isOptional || buffer.readableBytes > 0 else {
      self.init([:], prefix: "")
      return
    }
    do {
      self.init(
        try JSONDecoder().decode([String: JSONScalar].self, from: Data(buffer.readableBytesView)),
        prefix: "")
    } catch {
      throw AdminFailure(Failure(.invalidRequest, "The body must be a JSON object."))
    }
  }

  /// `nil` means that the member is absent.
  subscript(_ name: String) -> JSONScalar? { members[name] }

  /// Refuses members whose names are not among these.
  func allow(_ names: Set<String>) throws {
    guard let unknown = members.keys.sorted().first(where: { !names.contains($0) }) else { return }
    let shown = prefix + unknown.cut(toBytes: 64)
    throw AdminFailure(
      Failure(
        .invalidRequest,
        "\(shown) is not a known member; known members: "
          + names.sorted().joined(separator: ", ") + "."),
      param: shown)
  }

  func wrong(_ name: String, _ what: String) -> AdminFailure {
    AdminFailure(
      Failure(.invalidRequest, "\(prefix)\(name) must be \(what)."), param: prefix + name)
  }

  func text(_ name: String) throws -> String? {
    switch members[name] {
    case nil, .null: nil
    case .text(let text): text
    default: throw wrong(name, "a string")
    }
  }

  func texts(_ name: String) throws -> [String]? {
    switch members[name] {
    case nil: nil
    case .null: []
    case .texts(let texts): texts
    default: throw wrong(name, "an array of strings, or null")
    }
  }

  func flag(_ name: String) throws -> Bool {
    switch members[name] {
    case nil, .null: false
    case .flag(let isOn): isOn
    default: throw wrong(name, "true or false")
    }
  }

  func integer(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    switch members[name] {
    case nil, .null: nil
    case .integer(let number) where range.contains(number): number
    default:
      throw wrong(name, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  func choice<Choice: RawRepresentable & CaseIterable>(
    _ name: String
  ) throws -> Choice? where Choice.RawValue == String {
    switch members[name] {
    case nil, .null: return nil
    case .text(let text):
      if let choice = Choice(rawValue: text) { return choice }
    default: break
    }
    throw wrong(name, "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "))
  }

  /// A list of choices. `null` means an empty list.
  func choices<Choice: RawRepresentable & CaseIterable & Hashable>(
    _ name: String
  ) throws -> Set<Choice>? where Choice.RawValue == String {
    let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    switch members[name] {
    case nil: return nil
    case .null: return []
    case .texts(let texts):
      let choices = texts.compactMap(Choice.init(rawValue:))
      if choices.count == texts.count { return Set(choices) }
    default: break
    }
    throw wrong(name, "an array of \(known)")
  }

  /// An object. `nil` means that the member is absent or `null`.
  func object(_ name: String) throws -> JSONFields? {
    switch members[name] {
    case nil, .null: nil
    case .object(let members): JSONFields(members, prefix: "\(prefix)\(name).")
    default: throw wrong(name, "an object")
    }
  }
}

/// A JSON scalar, a list of strings or an object. `other` stands for any other value.
enum JSONScalar: Decodable {
  case null
  case text(String)
  case integer(Int)
  case flag(Bool)
  case texts([String])
  case object([String: JSONScalar])
  case other

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let number = try? container.decode(Int.self) {
      self = .integer(number)
    } else if let isOn = try? container.decode(Bool.self) {
      self = .flag(isOn)
    } else if let texts = try? container.decode([String].self) {
      self = .texts(texts)
    } else if let members = try? container.decode([String: JSONScalar].self) {
      self = .object(members)
    } else {
      self = .other
    }
  }
}
