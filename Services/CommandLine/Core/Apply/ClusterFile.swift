public import ClusterModel

/// A record as a cluster file describes it, in normal form.
struct FileRecord: Hashable, Sendable {
  /// Id of the record. `nil` means that the record is found by its name, or that its kind has no
  /// ids.
  let id: String?
  /// Members that the file has, and absent members with the values that their absence means.
  let members: [String: RecordValue]
  /// Line of the record in the file, for messages.
  let line: Int
}

/// The records that a cluster shall have, by section. Records of an absent section stay as they
/// are.
public struct ClusterFile: Equatable, Sendable {
  /// Path of the file, for messages.
  let path: String
  let sections: [String: [FileRecord]]

  /// Maximum bytes: slightly more than all keys and prices of a full registry need.
  public static let maximumBytes = 8 << 20

  init(path: String, sections: [String: [FileRecord]]) {
    self.path = path
    self.sections = sections
  }

  /// Parses a file.
  ///
  /// - Throws: the mistakes of the whole file in one message, one per line.
  public init(text: String, path: String) throws(ProcessFailure) {
    var reader = ClusterFileReader()
    reader.read(text)
    guard reader.mistakes.isEmpty else {
      throw ProcessFailure(.usage, reader.mistakes.message(of: path, "nothing was changed"))
    }
    self.init(path: path, sections: reader.sections)
  }

  /// Whether a comparison needs the cluster's records of a kind.
  ///
  /// - Parameter prune: whether records that the file's sections lack are removed.
  public func needs(_ kind: RecordKind, prune: Bool) -> Bool {
    switch kind {
    case _ where sections[kind.section] != nil: true
    // Teams and keys belong to organisations, keys also to teams.
    case .organisations: sections["teams"] != nil || sections["keys"] != nil
    // Accounts with teams or keys are not removed.
    case .teams: sections["keys"] != nil || prune && sections["organisations"] != nil
    case .keys: prune && (sections["organisations"] != nil || sections["teams"] != nil)
    default: false
    }
  }

  /// Whether keys are compared with the file, so that a comparison needs their budgets.
  public var comparesKeys: Bool { sections["keys"] != nil }

  /// Records of a section. The list is empty if the file does not have the section.
  func records(of kind: RecordKind) -> [FileRecord] { sections[kind.section] ?? [] }
}

/// Mistakes in a file, by line.
struct FileMistakes {
  private(set) var lines: [(line: Int, text: String)] = []
  private var omitted = 0

  /// Maximum mistakes in one message. More would scroll the first ones out of view.
  private static let maximum = 40

  var isEmpty: Bool { lines.isEmpty }

  mutating func add(_ line: Int, _ text: String) {
    guard lines.count < Self.maximum else {
      omitted += 1
      return
    }
    lines.append((line, text))
  }

  func message(of path: String, _ consequence: String) -> String {
    var texts = lines.sorted { $0.line < $1.line }.map { "\(path):\($0.line): \($0.text)" }
    if omitted > 0 { texts.append("and \(omitted) more mistakes") }
    texts.append(consequence)
    return texts.joined(separator: "\n")
  }
}
