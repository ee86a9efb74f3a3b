import ClusterModel

/// Records which hosts were asked to resume by an instruction or to repeat text.
struct ResumeHistory: Sendable {
  /// Maximum requests per host to repeat text: one with a shorter prefix, and one with an
  /// instruction.
  private static let repetitions = 2

  private var instructed: Set<HostID> = []
  /// Number of requests to each host to repeat the end of the text that the client already has.
  private var repeated: [HostID: Int] = [:]

  /// Whether the host was asked by an instruction.
  func isInstructed(_ host: HostID) -> Bool { instructed.contains(host) }

  /// Whether the host may be asked once more to repeat some of the client's text.
  func mayRepeat(_ host: HostID) -> Bool { repeated[host, default: 0] < Self.repetitions }

  mutating func recordInstruction(of host: HostID) { instructed.insert(host) }

  /// Records that the host is asked to repeat some of the client's text.
  /// - Returns: whether this is the first such request to the host.
  mutating func recordRepetition(of host: HostID) -> Bool {
    let before = repeated[host, default: 0]
    repeated[host] = before + 1
    return before == 0
  }
}
