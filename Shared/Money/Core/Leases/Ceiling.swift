public import ClusterModel

/// Identifies one ceiling: a budget of an account in a period, or a prepaid balance.
public struct CeilingID: Identifier {
  public let name: String
  public init(_ name: String) { self.name = name }
}

/// Money that may still be spent below one budget or balance.
///
/// Several keys share the ceilings of their team and organisation. The issuer itself subtracts the
/// leased money: `left = remaining - leased`.
public struct Ceiling: Hashable, Sendable {
  public let id: CeilingID
  /// Money that is not spent, leased money included. It is negative if an admin lowered the limit
  /// too far.
  public var remaining: MicroCredits
  /// Next time at which spent money becomes available again, in milliseconds since 1970. `nil`
  /// means that there is none, as for a balance.
  public var resetsAt: Int64?

  public init(id: CeilingID, remaining: MicroCredits, resetsAt: Int64? = nil) {
    self.id = id
    self.remaining = remaining
    self.resetsAt = resetsAt
  }
}
