import Limits

/// Limits of a process's bus. Each limit prevents one peer from using up the memory that all peers
/// share. `Limits+Bus.swift` has the reasons.
public struct BusLimits: Equatable, Sendable {
  public static let standard = BusLimits()

  /// Limits for a process that refuses more than `requests` requests with its own error. The bus
  /// admits 64 more, so that its own limit is not reached first.
  public static func admitting(_ requests: Int) -> BusLimits {
    var limits = standard
    limits.handlers = max(limits.handlers, requests + 64)
    return limits
  }

  public var handlers = Limits.busHandlers.value
  public var outgoing = Limits.busOutgoing.value
  public var streamBytes = Limits.busStreamBytes.value
  public var allStreamBytes = Limits.busAllStreamBytes.value
  public var frameBytes = Limits.busFrameBytes.value
  public var messageBytes = Limits.busMessageBytes.value
  public var reassemblyBytes = Limits.busReassemblyBytes.value
  public var heldMessages = Limits.busHeldMessages.value
  public var heldBytes = Limits.busHeldBytes.value
  /// How long messages of unlisted peers are held.
  var heldFor: Duration = .seconds(2)
  var rememberedIDs = Limits.busRememberedIDs.value
  var rememberedSenders = Limits.busRememberedSenders.value
  public var peers = Limits.busPeers.value
  var newcomers = Limits.busNewcomers.value
  /// Silence after which a peer with requests in flight is pinged.
  var pingAfter: Duration = .seconds(1)
  /// Silence after which a peer with requests in flight is considered lost, if a ping was not
  /// answered either.
  public var lostAfter: Duration = .seconds(3)
}
