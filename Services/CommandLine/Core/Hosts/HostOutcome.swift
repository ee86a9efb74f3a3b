public import ClusterModel

/// Report of a command that added, resumed or probed a host.
public struct HostOutcome: Hashable, Sendable {
  public enum Action: Sendable {
    case added, resumed, probed
  }

  /// Sentences for a person, without line ends.
  public let notes: [String]
  /// `nil` means that the host is ready, or that the command did not wait for a probe.
  public let failure: ProcessFailure?

  private static let shownModels = 8

  /// - Parameter waited: whether the command waited for the end of the host's probe.
  public init(of host: HostDetails, after action: Action, waited: Bool) {
    let subject = "host \(host.id)"
    let price =
      host.hasUnknownPrice
      ? [
        "\(subject) has a credential and no stated price, so it is not raced for free; state it "
          + "with `tutti hosts set \(host.id) --price IN/OUT`"
      ] : []
    let reason = host.reason ?? ""
    if host.state == HostState.ready.rawValue {
      let ready = "\(subject) is ready: \(Self.names(of: host))"
      notes = [ready + (reason.isEmpty ? "" : " (\(reason))")] + price
      failure = nil
      return
    }
    let isSuspended = host.state == HostState.suspended.rawValue
    let isUnknown = host.state == HostState.unknown.rawValue
    let why = !reason.isEmpty ? reason : isUnknown ? "its probe has not ended" : host.state
    let next =
      isSuspended
      ? "`tutti hosts resume \(host.id)` puts it back into service"
      : host.nextProbeMilliseconds.map { "probed again in \(Self.seconds($0)) s" }
        ?? "`tutti hosts probe \(host.id)` waits for it"
    let state =
      switch action {
      case .added: "is added, but not ready"
      case .resumed: "is resumed, but not ready"
      case .probed: "is not ready"
      }
    let sentence = "\(subject) \(state): \(why); \(next)"
    notes = waited ? price : [sentence] + price
    failure = waited ? ProcessFailure(.tryLater, sentence) : nil
  }

  private static func names(of host: HostDetails) -> String {
    let names = host.models?.map(\.id) ?? []
    let more = names.count - shownModels
    return names.prefix(shownModels).joined(separator: ", ")
      + (more > 0 ? " and \(counted(more, "more model"))" : "")
  }

  /// Whole seconds, rounded up. A probe that is due counts as one second away.
  private static func seconds(_ milliseconds: Int) -> Int {
    let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1_000)
    return max(1, seconds + (rest > 0 ? 1 : 0))
  }
}
