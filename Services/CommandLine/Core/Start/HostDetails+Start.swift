import ClusterModel

extension HostDetails {
  /// Number of model names that the table of `tutti up` shows for a host. A cloud offers hundreds.
  private static let shownModels = 4

  /// State of the host for the table of `tutti up`, for example `gpu-1 is ready: llama3, qwen3`.
  public var stateText: String {
    switch HostState(rawValue: state) {
    case .ready?:
      let names = models?.map(\.id) ?? []
      guard !names.isEmpty else { return "\(id) is ready" }
      let more = names.count - Self.shownModels
      return "\(id) is ready: " + names.prefix(Self.shownModels).joined(separator: ", ")
        + (more > 0 ? " and \(more) more" : "")
    case .unreachable?:
      let reason = reason.flatMap { $0.isEmpty ? nil : $0 }
      return "\(id) is not answering" + (reason.map { ": \($0)" } ?? "")
    case .unknown?: return "\(id) was not probed yet"
    case .suspended?: return "\(id) is suspended"
    case nil: return "\(id) is \(state)"
    }
  }
}
