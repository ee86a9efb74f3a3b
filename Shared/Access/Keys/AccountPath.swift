/// Place of a key in the accounts: an organisation, and a team within it.
///
/// Its text is `acme` or `acme/research`.
public struct AccountPath: Hashable, Sendable, CustomStringConvertible {
  public let organisation: String
  /// Name of the team. `nil` means that the key belongs to the organisation itself.
  public let team: String?

  public static let maximumNameBytes = 64

  /// - Returns: `nil` if a name is empty or longer than 64 bytes, if it has characters other than
  ///   a–z, 0–9, `-`, `_` and `.`, or if it is `.` or `..`, which have a meaning in paths of URLs.
  public init?(organisation: String, team: String? = nil) {
    guard Self.isName(organisation), team.map(Self.isName) ?? true else { return nil }
    self.organisation = organisation
    self.team = team
  }

  public init?(_ text: String) {
    guard text.utf8.count <= 2 * Self.maximumNameBytes + 1 else { return nil }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    switch parts.count {
    case 1: self.init(organisation: parts[0])
    case 2: self.init(organisation: parts[0], team: parts[1])
    default: return nil
    }
  }

  public var description: String { team.map { "\(organisation)/\($0)" } ?? organisation }

  private static func isName(_ text: String) -> Bool {
    (1...maximumNameBytes).contains(text.utf8.count) && text != "." && text != ".."
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
          true
        default: false
        }
      }
  }
}

extension AccountPath: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let path = AccountPath(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "an account is ORGANISATION or ORGANISATION/TEAM, each with 1 to 64 "
          + "characters of a–z, 0–9, -, _ and .")
    }
    self = path
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
