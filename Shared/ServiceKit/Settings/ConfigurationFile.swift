import Limits
import Text
import Yams

/// The YAML file of a cluster, flattened: `section:` → `member: value`.
public struct ConfigurationFile: Sendable {
  /// A value as written in the file.
  struct Entry: Hashable, Sendable {
    var key: String
    /// Elements of a list, or the one value of a scalar.
    var values: [String]
    var isList: Bool
    var line: Int
  }

  /// A mistake in the form of the file, such as invalid YAML.
  struct Flaw: Hashable, Sendable {
    var line: Int
    var message: String
  }

  let path: String
  var entries: [Entry] = []
  var sections: [(name: String, line: Int)] = []
  var flaws: [Flaw] = []

  /// Maximum file size. A cluster's file has a few dozen lines. The limit prevents the parsing of a
  /// wrong file, such as a log or a model.
  static let maxBytes = 1 << 20

  /// - Parameter path: used only in messages.
  public init(text: String, path: String) {
    self.path = path
    guard text.utf8.count <= Self.maxBytes else {
      flaws.append(Flaw(line: 1, message: "is larger than 1 MiB: this is not a configuration file"))
      return
    }
    if let limit = YAMLAliases.exceededLimit(in: text) {
      flaws.append(
        Flaw(
          line: 1,
          message: "has more than \(limit.value) aliases (`*name`, limit \(limit.name)); write "
            + "their values out"))
      return
    }
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      flaws.append(Self.flaw(of: error))
      return
    }
    guard let root, !root.isNothing else { return }
    guard let mapping = root.mapping else {
      flaws.append(
        Flaw(line: root.line, message: "does not begin with sections such as `gateway:`"))
      return
    }
    for (name, section) in mapping { read(section, named: name) }
  }

  private mutating func read(_ section: Node, named nameNode: Node) {
    guard let name = nameNode.string else {
      flaws.append(Flaw(line: nameNode.line, message: "has a section whose name is not a text"))
      return
    }
    sections.append((name, nameNode.line))
    guard !section.isNothing else { return }
    guard let members = section.mapping else {
      flaws.append(
        Flaw(line: nameNode.line, message: "`\(name)` is not a section with members below it"))
      return
    }
    for (memberNode, value) in members {
      guard let member = memberNode.string else {
        flaws.append(
          Flaw(line: memberNode.line, message: "`\(name)` has a member whose name is not a text"))
        continue
      }
      let key = "\(name).\(member)"
      if value.isNothing {
        continue
      } else if let scalar = value.scalar {
        entries.append(
          Entry(key: key, values: [scalar.string], isList: false, line: memberNode.line))
      } else if let sequence = value.sequence {
        let values = sequence.compactMap { $0.scalar?.string }
        if values.count == sequence.count {
          entries.append(Entry(key: key, values: values, isList: true, line: memberNode.line))
        } else {
          flaws.append(
            Flaw(line: memberNode.line, message: "`\(key)` is a list of things that are not values")
          )
        }
      } else {
        flaws.append(
          Flaw(line: memberNode.line, message: "`\(key)` has members of its own; a value is wanted")
        )
      }
    }
  }

  private static func flaw(of error: any Error) -> Flaw {
    guard let error = error as? YamlError else {
      return Flaw(line: 1, message: "is not YAML: \(error)")
    }
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return Flaw(line: mark.line, message: "is not YAML: \(problem)")
    case .duplicatedKeysInMapping(let duplicates, let context):
      let names = duplicates.map { "`\($0)`" }.sorted().joined(separator: ", ")
      return Flaw(line: context.mark.line, message: "has \(names) twice")
    default:
      return Flaw(line: 1, message: "is not YAML that can be read")
    }
  }
}

extension Node {
  fileprivate var line: Int { mark?.line ?? 1 }

  /// Whether the value is empty, `~` or `null`, which means not set.
  fileprivate var isNothing: Bool {
    guard let scalar, scalar.style == .plain else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }
}
