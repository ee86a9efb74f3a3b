import Access
public import ClusterModel

/// Changes that `tutti audit` selects, unchecked.
public struct AuditSelection: Sendable {
  /// Effect of a change on its record.
  public enum Action: String, CaseIterable, Sendable {
    case create, change, remove
  }

  public var kind: String?
  public var id: String?
  /// Name of an admin in the audit log, or the id of a key after `tutti-`.
  public var author: String?
  public var action: String?
  public var from: String?
  public var until: String?

  public init() {}

  /// The query of the request, without a question mark.
  ///
  /// - Throws: all mistakes at once, one per line.
  public func query() throws(ProcessFailure) -> String {
    var mistakes: [String] = []
    var parts: [String] = []
    func add(_ name: String, _ value: () throws(ProcessFailure) -> String?) {
      do throws(ProcessFailure) {
        if let value = try value() { parts.append(name + "=" + PathText.escaped(value)) }
      } catch {
        mistakes.append(error.message)
      }
    }
    add("kind") { kind }
    add("id") { id }
    add("author") { () throws(ProcessFailure) in try authorName() }
    add("action") { action }
    add("from_ms") { () throws(ProcessFailure) in try Self.time(from, option: "from") }
    add("to_ms") { () throws(ProcessFailure) in try Self.time(until, option: "to") }
    if let action,
      let mistake = KeyOptions.mistake(in: action, of: Action.self, option: "action", "an action")
    {
      mistakes.append(mistake)
    }
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    return parts.joined(separator: "&")
  }

  /// The author as the audit log has it.
  private func authorName() throws(ProcessFailure) -> String? {
    guard let author, author.hasPrefix("tutti-") else { return author }
    return "key tutti-\(try KeyReference.id(author))"
  }

  private static func time(
    _ text: String?, option: String
  ) throws(ProcessFailure) -> String? {
    guard let text else { return nil }
    return "\(try PointInTime.milliseconds(text, option: option))"
  }
}
