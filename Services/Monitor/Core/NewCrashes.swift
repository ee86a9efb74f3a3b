/// Crashes of one child of `tutti up`, as DATA_DIR/crashes.json has them.
public struct ProcessCrashes: Hashable, Decodable, Sendable {
  public var name: String
  /// Number of crashes since `tutti up` began.
  public var count: Int
  public var lastUnixSeconds: Int64
  public var reason: String
  /// File with the backtrace of the latest crash. `nil` means that this crash wrote none.
  public var report: String?

  private enum CodingKeys: String, CodingKey {
    case name, count, reason, report
    case lastUnixSeconds = "last_unix_s"
  }
}

/// Finds the crashes that an earlier reading of the list did not have.
public struct NewCrashes: Sendable {
  /// Numbers of crashes by the names of the processes. `nil` means that the list was not read yet.
  private var known: [String: Int]?
  private let own: String

  /// - Parameter own: name of the process that reads the list.
  public init(own: String) { self.own = own }

  /// - Returns: processes that have crashed since the last reading, in the order of their crashes.
  ///   The first reading has the crashes since the last one of the own process, because earlier
  ///   crashes were found by its predecessor.
  public mutating func found(in list: [ProcessCrashes]) -> [ProcessCrashes] {
    let counts = Dictionary(list.map { ($0.name, $0.count) }, uniquingKeysWith: { max($0, $1) })
    defer { known = counts }
    let new: [ProcessCrashes]
    if let known {
      // `tutti up` began again with a lower number.
      new = list.filter { $0.count != known[$0.name] && $0.count > 0 }
    } else {
      let start = list.first { $0.name == own }?.lastUnixSeconds ?? .min
      new = list.filter { $0.lastUnixSeconds >= start && $0.count > 0 }
    }
    return new.sorted { ($0.lastUnixSeconds, $0.name) < ($1.lastUnixSeconds, $1.name) }
  }
}
