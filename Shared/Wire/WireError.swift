import Limits

/// Reason why bytes cannot be decoded, or a message cannot be encoded.
public enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The bytes are longer than `WireLimits.frameBytes`.
  case tooLarge(bytes: Int, limit: Int)
  /// The message has more elements of repeated fields than `WireLimits.elements` or a limit of one
  /// field allows, or too many unknown fields.
  case tooManyElements(limit: Int)
  /// The bytes are not protobuf, or not this message.
  case malformed(String)
  /// Another version of the schema wrote the bytes.
  case unsupportedVersion(UInt32)
  /// A field has a value that this schema version does not allow.
  case unknownValue(field: String)
  /// A required field is absent.
  case missing(field: String)
  /// A text is not UTF-8.
  case invalidText(field: String)

  /// Text of the case without its values, for the label of a counter.
  public var reason: String {
    switch self {
    case .tooLarge: "too_large"
    case .tooManyElements: "too_many_elements"
    case .malformed: "malformed"
    case .unsupportedVersion: "unsupported_version"
    case .unknownValue: "unknown_value"
    case .missing: "missing_field"
    case .invalidText: "invalid_text"
    }
  }

  public var description: String {
    switch self {
    case .tooLarge(let bytes, let limit): "\(bytes) bytes, at most \(limit) are allowed"
    case .tooManyElements(let limit): "more than \(limit) elements"
    case .malformed(let what): "malformed: \(what)"
    case .unsupportedVersion(let version): "schema version \(version) is not supported"
    case .unknownValue(let field): "\(field) has an unknown value"
    case .missing(let field): "\(field) is missing"
    case .invalidText(let field): "\(field) is not UTF-8"
    }
  }
}

/// Limits that are checked before a frame is unpacked, because unpacking allocates.
public struct WireLimits: Hashable, Sendable {
  /// Limits of a frame on the bus.
  public static let standard = WireLimits(
    frameBytes: Limits.busFrameBytes.value, elements: Limits.busElements.value)

  public var frameBytes: Int
  /// Maximum elements of all repeated fields together.
  var elements: Int

  public init(frameBytes: Int, elements: Int) {
    self.frameBytes = frameBytes
    self.elements = elements
  }
}
