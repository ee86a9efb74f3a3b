import Limits

/// Bounds of a process's bus. Each keeps one peer's behaviour from using up the memory of all;
/// `Limits+Bus.swift` has the reasons.
public struct BusLimits: Equatable, Sendable {
  public static let standard = BusLimits()

  /// For a process that refuses more than so many requests itself, in its own words.
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
  /// How long mail of unlisted peers is kept.
  public var heldFor: Duration = .seconds(2)
  public var rememberedIDs = Limits.busRememberedIDs.value
  public var rememberedSenders = Limits.busRememberedSenders.value
  public var peers = Limits.busPeers.value
  public var newcomers = Limits.busNewcomers.value
  /// A peer with work of ours is asked for a sign of life after this silence …
  public var pingAfter: Duration = .seconds(1)
  /// … and is lost after this one.
  public var lostAfter: Duration = .seconds(3)

  public init() {}
}
