/// One bound on what an outsider (a host or a client) can cost.
public struct Limit: Hashable, Sendable {
  public enum Unit: String, Hashable, Sendable {
    case bytes, count, milliseconds, percent
  }

  /// Dotted path of the bounded quantity, for example `answer.kept_bytes`.
  public let name: String
  public let value: Int
  public let unit: Unit
  /// Reason why the value is not half or twice as large.
  public let reason: String

  public init(_ name: String, _ value: Int, _ unit: Unit, _ reason: String) {
    self.name = name
    self.value = value
    self.unit = unit
    self.reason = reason
  }
}

/// An outsider exceeded a limit.
public struct Overdrawn: Error, Hashable, Sendable, CustomStringConvertible {
  public let limit: Limit

  public init(_ limit: Limit) { self.limit = limit }

  /// The value and name of the exceeded limit, for the outsider and for logs.
  public var description: String {
    "more than \(limit.value) \(limit.unit.rawValue) (limit \(limit.name))"
  }
}
