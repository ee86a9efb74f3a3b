/// A name that is only compared, stored and printed.
///
/// Each kind has its own type, so a host cannot be passed in place of a model.
public protocol Identifier: Hashable, Comparable, Codable, Sendable, CustomStringConvertible,
  ExpressibleByStringLiteral
{
  var name: String { get }
  init(_ name: String)
}

extension Identifier {
  public init(stringLiteral value: String) { self.init(value) }
  public var description: String { name }
  public static func < (left: Self, right: Self) -> Bool { left.name < right.name }

  public init(from decoder: any Decoder) throws {
    self.init(try decoder.singleValueContainer().decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(name)
  }
}

/// Identifies a backend that answers inference requests.
public struct HostID: Identifier {
  public let name: String
  public init(_ name: String) { self.name = name }
}

/// Name of a model, the one of its host or an alias, for example `SmolLM2-135M-Instruct`.
public struct ModelID: Identifier {
  public let name: String
  public init(_ name: String) { self.name = name }
}

/// Identifies a task within its plan.
public struct TaskID: Identifier {
  public let name: String
  public init(_ name: String) { self.name = name }
}

/// Identifies a plan within the cluster.
public struct PlanID: Identifier {
  public let name: String
  public init(_ name: String) { self.name = name }
}

/// Identifies one process on the bus.
///
/// A restarted process keeps its name and gets a new incarnation. It is a new peer and does not
/// receive messages for the old one.
public struct PeerID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let name: String
  public let incarnation: UInt64

  public init(name: String, incarnation: UInt64) {
    self.name = name
    self.incarnation = incarnation
  }

  public var description: String { "\(name)#\(String(incarnation, radix: 16))" }

  public static func < (left: PeerID, right: PeerID) -> Bool {
    (left.name, left.incarnation) < (right.name, right.incarnation)
  }
}

/// The 16-byte id shared by all work for one request (W3C Trace Context).
public struct TraceID: Hashable, Sendable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public static func random(using rng: inout some RandomNumberGenerator) -> TraceID {
    // All zeroes means "no trace" in W3C Trace Context.
    TraceID(high: rng.next(), low: rng.next() | 1)
  }

  /// - Parameter text: 32 hexadecimal digits. Any other text gives `nil`.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 32, text.utf8.allSatisfy(\.isHexadecimal),
      let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }

  /// 32 lower-case hexadecimal digits.
  public var description: String {
    var digits: [UInt8] = []
    digits.reserveCapacity(32)
    high.appendHexadecimal(to: &digits)
    low.appendHexadecimal(to: &digits)
    return String(decoding: digits, as: UTF8.self)
  }
}

/// Identifies a span within a trace. 0 means none.
public struct SpanID: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt64
  public static let none = SpanID(0)

  public init(_ value: UInt64) { self.value = value }

  public static func random(using rng: inout some RandomNumberGenerator) -> SpanID {
    SpanID(rng.next() | 1)
  }

  /// 16 lower-case hexadecimal digits.
  public var description: String { value.hexadecimal }
}

/// Trace context of a message: the request's trace and the sending span.
public struct TraceContext: Hashable, Sendable {
  public var trace: TraceID
  public var span: SpanID

  public init(trace: TraceID, span: SpanID) {
    self.trace = trace
    self.span = span
  }
}

extension UInt64 {
  /// 16 lower-case hexadecimal digits.
  var hexadecimal: String {
    var digits: [UInt8] = []
    digits.reserveCapacity(16)
    appendHexadecimal(to: &digits)
    return String(decoding: digits, as: UTF8.self)
  }

  /// Appends 16 lower-case hexadecimal digits.
  fileprivate func appendHexadecimal(to digits: inout [UInt8]) {
    for place in 0..<UInt64(16) {
      let digit = UInt8(truncatingIfNeeded: self >> (60 - 4 * place) & 15)
      digits.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
    }
  }
}

extension UInt8 {
  var isHexadecimal: Bool {
    (48...57).contains(self) || (65...70).contains(self) || (97...102).contains(self)
  }
}
