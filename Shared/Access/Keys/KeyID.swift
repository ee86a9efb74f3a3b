/// Public part of a key: 12 characters of a–z and 2–7. Lists and logs show it in place of the key.
public struct KeyID: Hashable, Sendable, CustomStringConvertible {
  public static let characterCount = 12

  /// The 12 characters, with five bits for each.
  private let bits: UInt64

  private init(bits: UInt64) { self.bits = bits }

  /// - Parameter text: 12 characters of a–z and 2–7. Any other text gives `nil`.
  public init?(_ text: some Collection<UInt8>) {
    guard text.count == Self.characterCount else { return nil }
    var bits: UInt64 = 0
    for character in text {
      guard let value = Self.value(of: character) else { return nil }
      bits = bits << 5 | UInt64(value)
    }
    self.bits = bits
  }

  public init?(_ text: String) { self.init(text.utf8) }

  /// Makes an id from the upper 60 bits of a random number.
  init(random: UInt64) { self.init(bits: random >> 4) }

  public var description: String {
    var text: [UInt8] = []
    append(to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// The id as a number. No two ids have the same one.
  public var number: UInt64 { bits }

  private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

  func append(to text: inout [UInt8]) {
    for place in 1...Self.characterCount {
      let value = bits >> UInt64(5 * (Self.characterCount - place)) & 31
      text.append(Self.alphabet[Int(value)])
    }
  }

  private static func value(of character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a")
    case UInt8(ascii: "2")...UInt8(ascii: "7"): character - UInt8(ascii: "2") + 26
    default: nil
    }
  }
}

extension KeyID: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let id = KeyID(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a key's id has 12 characters of a–z and 2–7")
    }
    self = id
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
