import ClusterModel
import Synchronization

/// Values of a metric's label with a maximum number of different names.
///
/// The first names keep their series, and all further names share one. So a label whose values come
/// from outside, for example a model, adds a known number of series. Pass only names that exist:
/// names that clients invent would use up the places.
public final class BoundedLabel: Sendable {
  /// Name of the series that all further names share.
  public static let other = "other"

  private let limit: Int
  private let named = Mutex<Set<String>>([])

  /// - Parameter limit: maximum number of names besides `other`.
  public init(limit: Int = 64) { self.limit = limit }

  /// The label's value for a name: the name, cut to the length of a label, or `other`.
  public func name(for text: String) -> String {
    let name = text.cut(toBytes: LabelSet.maxValueBytes)
    return named.withLock { named in
      if named.contains(name) { return name }
      guard named.count < limit else { return Self.other }
      named.insert(name)
      return name
    }
  }
}
