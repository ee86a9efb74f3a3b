/// Requests and tokens in one hour.
public struct HourlyUse: Hashable, Sendable {
  /// Hours since 1970, UTC.
  public var hour: Int64
  public var requests: Int
  public var tokens: Int

  public init(hour: Int64, requests: Int = 0, tokens: Int = 0) {
    self.hour = hour
    self.requests = requests
    self.tokens = tokens
  }

  /// Hour of a time.
  /// - Parameter milliseconds: since 1970.
  public static func hour(of milliseconds: Int64) -> Int64 { milliseconds / 3_600_000 }
}

/// Use of one key in the last day. Hours without use are left out.
public struct DayUse: Hashable, Sendable {
  public var key: KeyID
  public var hours: [HourlyUse]

  public init(key: KeyID, hours: [HourlyUse]) {
    self.key = key
    self.hours = hours
  }

  /// Maximum hours of one key: a day, and the current hour, which is not complete.
  public static let mostHours = SlidingCount.Window.day.slotCount + 1
}

/// A gateway's own use of keys with limits per day. The answer is a `KeyUseTable`.
public struct KeyUseReport: Hashable, Sendable {
  /// Incarnation of the registry from which `after` comes. 0 means none.
  public var epoch: UInt64
  /// The gateway knows the changes up to this revision.
  public var after: UInt64
  /// The gateway's current hour, since 1970. Its clock may differ from the registry's.
  public var hour: Int64
  /// Keys whose use has changed, at most `Limits.accessUseBatch`, each with the totals of the hours
  /// that have changed. A total may be 0. The registry ignores them if it has another epoch.
  public var uses: [DayUse]

  public init(epoch: UInt64, after: UInt64, hour: Int64, uses: [DayUse]) {
    self.epoch = epoch
    self.after = after
    self.hour = hour
    self.uses = uses
  }
}

/// Use of keys by all gateway processes but one, for that one.
public struct KeyUseTable: Hashable, Sendable {
  /// The registry's incarnation.
  public var epoch: UInt64
  /// Revision of the last change in this table.
  public var revision: UInt64
  /// Whether no later change is known.
  public var isComplete: Bool
  /// Keys whose use has changed, at most `Limits.accessUseBatch`, each with all its hours. The hours
  /// are those of the gateway's clock.
  public var uses: [DayUse]
  /// Keys of the report of which the registry had no room for the use of some gateway. No gateway
  /// may raise its part of their limits.
  public var unrecorded: [KeyID]

  public init(
    epoch: UInt64, revision: UInt64, isComplete: Bool, uses: [DayUse],
    unrecorded: [KeyID] = []
  ) {
    self.epoch = epoch
    self.revision = revision
    self.isComplete = isComplete
    self.uses = uses
    self.unrecorded = unrecorded
  }
}
