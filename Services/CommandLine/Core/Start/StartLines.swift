public import ClusterModel

/// Lines about the progress of `tutti up` until it is ready, with times since its start.
public struct StartLines: Sendable {
  /// A model server and the model that it loads.
  public struct Server: Hashable, Sendable {
    public var name: String
    public var model: String
    /// Size of the model's file.
    public var bytes: Int64
    public var threads: Int

    public init(name: String, model: String, bytes: Int64, threads: Int) {
      self.name = name
      self.model = model
      self.bytes = bytes
      self.threads = threads
    }
  }

  /// Times of a model server's start. Both are `nil` for a service.
  public struct Times: Hashable, Sendable {
    public var loaded: Instant?
    public var answered: Instant?

    public init(loaded: Instant? = nil, answered: Instant? = nil) {
      self.loaded = loaded
      self.answered = answered
    }
  }

  private let servers: [Server]
  /// Services that have not been ready yet.
  private var services: Set<String>
  private var wasReady: Set<String> = []

  public init(servers: [Server], services: Set<String>) {
    self.servers = servers
    self.services = services
  }

  /// The lines for the beginning, one for each model.
  public var loading: [String] {
    var models: [String] = []
    for server in servers where !models.contains(server.model) { models.append(server.model) }
    return models.compactMap { model in
      let own = servers.filter { $0.model == model }
      guard let first = own.first else { return nil }
      let threads = "\(first.threads) \(first.threads == 1 ? "thread" : "threads")"
      return "loading \(model) (\(Self.size(first.bytes))) into \(Self.list(own.map(\.name))), "
        + threads + (own.count == 1 ? "" : " each")
    }
  }

  /// Records that a child is ready.
  /// - Returns: the line to print. `nil` means none.
  public mutating func ready(_ child: String, _ times: Times, now: Instant) -> String? {
    guard wasReady.insert(child).inserted else { return "\(child) is ready again" }
    if let loaded = times.loaded, let answered = times.answered {
      return "\(child): model loaded after \(Self.seconds(loaded)), "
        + "first answer after \(Self.seconds(answered))"
    }
    guard services.remove(child) != nil, services.isEmpty else { return nil }
    return "services ready after \(Self.seconds(now))"
  }

  /// Line for a start that takes long. `nil` means that no child is awaited.
  /// - Parameter names: children that have not been ready yet.
  public static func waiting(for names: [String], now: Instant) -> String? {
    names.isEmpty ? nil : "still waiting for \(list(names)) after \(seconds(now))"
  }

  static func seconds(_ instant: Instant) -> String {
    let tenths = instant.sinceStart.wholeMilliseconds / 100
    return "\(tenths / 10).\(tenths % 10) s"
  }

  static func size(_ bytes: Int64) -> String {
    guard bytes >= 1_000_000_000 else { return "\(bytes / 1_000_000) MB" }
    let tenths = bytes / 100_000_000
    return "\(tenths / 10).\(tenths % 10) GB"
  }

  static func list(_ names: [String]) -> String {
    guard names.count > 1, let last = names.last else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " and " + last
  }
}
