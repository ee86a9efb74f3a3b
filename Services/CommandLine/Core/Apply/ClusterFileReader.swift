import Access
import ClusterModel
import Limits
import Money
import Text
import Yams

/// Reads a cluster file and collects all mistakes.
struct ClusterFileReader {
  private(set) var sections: [String: [FileRecord]] = [:]
  private(set) var mistakes = FileMistakes()
  /// Number of values that may still be read. With aliases, a small YAML file can stand for very
  /// many values.
  private var room = 1_000_000

  private static let maximumDepth = 16

  mutating func read(_ text: String) {
    guard text.utf8.count <= ClusterFile.maximumBytes else {
      mistakes.add(1, "the file is larger than \(ClusterFile.maximumBytes >> 20) MiB")
      return
    }
    if let limit = YAMLAliases.exceededLimit(in: text) {
      mistakes.add(
        1,
        "the file has more than \(limit.value) aliases (`*name`, limit \(limit.name)); write their "
          + "values out")
      return
    }
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      let flaw = Self.flaw(of: error)
      mistakes.add(flaw.line, flaw.text)
      return
    }
    guard let root, !root.isNothing else {
      mistakes.add(1, "the file has no section")
      return
    }
    guard let mapping = root.mapping else {
      mistakes.add(root.line, "the file does not begin with sections such as `organisations:`")
      return
    }
    for (name, section) in mapping { read(section, named: name) }
  }

  private mutating func read(_ section: Node, named name: Node) {
    guard let text = name.string, let kind = RecordKind.all.first(where: { $0.section == text })
    else {
      mistakes.add(
        name.line,
        Self.unknown(name.string ?? "", "section", among: RecordKind.all.map(\.section)))
      return
    }
    // An empty section may be a mistake, and with --prune all records of the section would be
    // removed.
    guard !section.isNothing else {
      let none = kind.identity == .map ? "{}" : "[]"
      let remedy =
        kind.identity == .single
        ? "leave the section out"
        : "write \(none) if there shall be no \(kind.noun), or leave the section out so that its "
          + "records stay"
      mistakes.add(name.line, "\(kind.section) is empty; \(remedy)")
      return
    }
    switch kind.identity {
    case .single: read(single: section, of: kind)
    case .map: read(map: section, of: kind)
    case .member, .nameOrID, .prices: read(list: section, of: kind, line: name.line)
    }
  }

  // MARK: - Sections

  private mutating func read(single section: Node, of kind: RecordKind) {
    guard let members = members(of: section, kind.members, in: kind.section) else { return }
    sections[kind.section] = [FileRecord(id: nil, members: members, line: section.line)]
  }

  private mutating func read(map section: Node, of kind: RecordKind) {
    sections[kind.section] = []
    guard let mapping = section.mapping else {
      mistakes.add(section.line, "\(kind.section) is not a map from names to values")
      return
    }
    for (name, node) in mapping {
      guard let id = name.string else {
        mistakes.add(name.line, "\(kind.section): a name is not a text")
        continue
      }
      guard let value = freeValue(node, "\(kind.section): \(id.cut(toBytes: 40))", depth: 0) else {
        continue
      }
      guard value != .null else {
        mistakes.add(
          name.line, "\(kind.section): \(id) has no value; leave it out for its default")
        continue
      }
      sections[kind.section]?.append(
        FileRecord(id: id, members: ["value": value], line: name.line))
    }
  }

  private mutating func read(list section: Node, of kind: RecordKind, line: Int) {
    sections[kind.section] = []
    guard let elements = section.sequence else {
      mistakes.add(line, "\(kind.section) is not a list; begin each \(kind.noun) with `- `")
      return
    }
    var lines: [String: Int] = [:]
    for element in elements where room > 0 {
      guard let record = record(element, of: kind) else { continue }
      let label = kind.label(of: record)
      if let first = lines.updateValue(record.line, forKey: label) {
        mistakes.add(
          record.line,
          "\(kind.noun) \(label) is here for the second time; the first is in line "
            + "\(first)")
      }
      sections[kind.section]?.append(record)
    }
  }

  private mutating func record(_ node: Node, of kind: RecordKind) -> FileRecord? {
    let idMember: RecordMember? =
      switch kind.identity {
      case .member(let name): RecordMember(name, .text(), absent: .mistake)
      case .nameOrID: RecordMember("id", .text(), absent: .keeps)
      case .single, .map, .prices: nil
      }
    let all = (idMember.map { [$0] } ?? []) + kind.members
    guard var members = members(of: node, all, in: kind.section) else { return nil }
    var id: String?
    if let idMember {
      id = members.removeValue(forKey: idMember.name)?.text
      if let id, let mistake = kind.mistake(inID: id) {
        mistakes.add(node.line, "\(kind.section): \(mistake)")
      }
    }
    checkBudgets(members["budgets"]?.elements ?? [], in: kind, line: node.line)
    return FileRecord(id: id, members: members, line: node.line)
  }

  /// Adds a mistake if two budgets of a record have the same period and window.
  private mutating func checkBudgets(_ budgets: [RecordValue], in kind: RecordKind, line: Int) {
    var windows: Set<[RecordValue?]> = []
    for budget in budgets where !windows.insert([budget["period"], budget["window"]]).inserted {
      mistakes.add(
        line,
        "\(kind.section): budgets: two have the period \(budget["period"]?.text ?? "") and "
          + "the same window")
    }
  }

  // MARK: - Values

  /// Reads an object's members in normal form. `nil` means that a mistake was added.
  private mutating func members(
    of node: Node, _ known: [RecordMember], in path: String, depth: Int = 0
  ) -> [String: RecordValue]? {
    guard let mapping = node.mapping else {
      let example = known.first.map { " such as `\($0.name):`" } ?? ""
      mistakes.add(node.line, "\(path): an object with members\(example) is wanted")
      return nil
    }
    var values: [String: RecordValue] = [:]
    var given: Set<String> = []
    var isRight = true
    for (nameNode, valueNode) in mapping where room > 0 {
      let name = nameNode.string ?? ""
      guard let member = known.first(where: { $0.name == name }) else {
        mistakes.add(
          nameNode.line, "\(path): " + Self.unknown(name, "member", among: known.map(\.name)))
        isRight = false
        continue
      }
      if valueNode.isNothing { continue }
      given.insert(name)
      if let value = value(valueNode, member.shape, "\(path): \(name)", depth: depth + 1) {
        values[name] = value
      } else {
        isRight = false
      }
    }
    for member in known where member.absence == .mistake && !given.contains(member.name) {
      mistakes.add(node.line, "\(path): \(member.name) is missing")
      isRight = false
    }
    return isRight ? known.normal(values) : nil
  }

  /// Reads a value of the shape in normal form. `nil` means that a mistake was added.
  private mutating func value(
    _ node: Node, _ shape: RecordShape, _ path: String, depth: Int
  ) -> RecordValue? {
    room -= 1
    guard room > 0, depth < Self.maximumDepth else {
      // `room` is 0 for one value only, so too many values are reported once.
      if room == 0 || depth >= Self.maximumDepth {
        mistakes.add(
          node.line, "\(path): the file has too many values, or they are nested too deep")
      }
      return nil
    }
    switch shape {
    case .any: return freeValue(node, path, depth: depth)
    case .object(let known):
      return members(of: node, known, in: path, depth: depth).map { .object($0) }
    case .set(let element, let most), .list(let element, let most):
      guard let sequence = node.sequence else {
        mistakes.add(node.line, "\(path): a list is wanted, for example [a, b]")
        return nil
      }
      guard sequence.count <= most else {
        mistakes.add(node.line, "\(path): the list has more than \(most) elements")
        return nil
      }
      var elements: [RecordValue] = []
      var isRight = true
      for node in sequence where room > 0 {
        guard let element = value(node, element, path, depth: depth + 1) else {
          isRight = false
          continue
        }
        if case .list = shape, elements.contains(element) {
          mistakes.add(node.line, "\(path): “\(element.shown.cut(toBytes: 40))” is here twice")
          isRight = false
        }
        elements.append(element)
      }
      return isRight && room > 0 ? shape.normal(.list(elements)) : nil
    default:
      guard let text = node.scalar?.string else {
        mistakes.add(node.line, "\(path): one value is wanted")
        return nil
      }
      switch Self.scalar(text, shape) {
      case .value(let value): return value
      case .mistake(let mistake):
        mistakes.add(node.line, "\(path): “\(text.cut(toBytes: 40))” \(mistake)")
        return nil
      case .secret(let mistake):
        mistakes.add(node.line, "\(path): \(mistake)")
        return nil
      }
    }
  }

  private enum Scalar {
    case value(RecordValue)
    /// The text is not valid. The message quotes the text and continues with this end of a
    /// sentence.
    case mistake(String)
    /// The text is not valid and may be a secret. The message is this sentence, without the text.
    case secret(String)
  }

  /// Reads the text by its shape and not by YAML's types. So `12.50` without quotes can be an
  /// amount, and `yes` can be a name.
  private static func scalar(_ text: String, _ shape: RecordShape) -> Scalar {
    switch shape {
    case .flag:
      return switch text.lowercased() {
      case "true": .value(.boolean(true))
      case "false": .value(.boolean(false))
      default: .mistake("is not true or false")
      }
    case .integer(let range):
      guard let number = Int(text), range.contains(number) else {
        return .mistake("is not a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return .value(.integer(number))
    case .amount, .price:
      do throws(AmountTextError) {
        let amount = shape == .price ? try TokenPrice.parse(text) : try MicroCredits(credits: text)
        return .value(.text(amount.credits))
      } catch {
        return .mistake("is not an amount: \(error)")
      }
    case .tag:
      guard HostTags.isName(text) else { return .mistake("is not a name of \(HostTags.rule)") }
      return .value(.text(text))
    case .credential:
      do throws(Failure) {
        return .value(.text(try CredentialReference(text).description))
      } catch {
        return .secret(error.message)
      }
    case .time:
      if let date = UTCDate(text) { return .value(.integer(Int(clamping: date.milliseconds))) }
      guard let number = Int(text), UTCDate.times.contains(Int64(number)) else {
        return .mistake(
          "is not a date such as 2027-01-31 or 2027-01-31T12:00:00Z, or milliseconds since 1970")
      }
      return .value(.integer(number))
    case .choice(let choices):
      guard choices.contains(text) else { return .mistake(advice(text, among: choices)) }
      return .value(.text(text))
    case .account:
      guard AccountPath(text) != nil else {
        return .mistake("is not an account such as acme or acme/research")
      }
      return .value(.text(text))
    case .text, .url, .set, .list, .object, .any:
      let longest = if case .text(let atMost) = shape { atMost } else { 2_048 }
      guard (1...longest).contains(text.utf8.count),
        text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
      else {
        return .mistake("is empty, has control characters, or has more than \(longest) bytes")
      }
      guard APIKey(text) == nil else {
        return .secret("this is a whole key; a cluster file has no secrets")
      }
      return .value(shape.normal(.text(text)))
    }
  }

  /// Reads a value by the rules of YAML. `nil` means that a mistake was added.
  private mutating func freeValue(_ node: Node, _ path: String, depth: Int) -> RecordValue? {
    room -= 1
    guard room > 0, depth < Self.maximumDepth else {
      mistakes.add(node.line, "\(path): the file has too many values, or they are nested too deep")
      return nil
    }
    if let scalar = node.scalar {
      if node.isNothing { return .null }
      guard scalar.style == .plain else { return .text(scalar.string) }
      if let number = Int(scalar.string) { return .integer(number) }
      if scalar.string == "true" || scalar.string == "false" {
        return .boolean(scalar.string == "true")
      }
      if scalar.string.first?.isNumber == true || scalar.string.hasPrefix("-"),
        let number = Double(scalar.string), number.isFinite
      {
        return Int(exactly: number).map { .integer($0) } ?? .number(number)
      }
      return .text(scalar.string)
    }
    if let sequence = node.sequence {
      var elements: [RecordValue] = []
      for node in sequence {
        guard let element = freeValue(node, path, depth: depth + 1) else { return nil }
        elements.append(element)
      }
      return .list(elements)
    }
    var members: [String: RecordValue] = [:]
    for (name, node) in node.mapping ?? [:] {
      guard let text = name.string else {
        mistakes.add(name.line, "\(path): a name is not a text")
        return nil
      }
      guard let value = freeValue(node, path, depth: depth + 1) else { return nil }
      members[text] = value
    }
    return .object(members)
  }

  // MARK: - Messages

  private static func unknown(_ name: String, _ noun: String, among known: [String]) -> String {
    "“\(name.cut(toBytes: 40))” is not a known \(noun); " + suggestion(name, among: known)
  }

  private static func advice(_ name: String, among known: [String]) -> String {
    "is not permitted; " + suggestion(name, among: known)
  }

  private static func suggestion(_ name: String, among known: [String]) -> String {
    let near = NearNames.near(name, among: known)
    return near.isEmpty
      ? "choose from \(known.joined(separator: ", "))"
      : "did you mean \(near.joined(separator: " or "))?"
  }

  private static func flaw(of error: any Error) -> (line: Int, text: String) {
    guard let error = error as? YamlError else { return (1, "this is not YAML") }
    return switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      (mark.line, "this is not YAML: \(problem)")
    case .duplicatedKeysInMapping(let duplicates, let context):
      (
        context.mark.line,
        duplicates.map { "`\($0)`" }.sorted().joined(separator: ", ") + " is here twice"
      )
    default: (1, "this is not YAML that can be read")
    }
  }
}

extension Node {
  fileprivate var line: Int { mark?.line ?? 1 }

  /// Whether the value is empty, `~` or `null`, which means absent.
  fileprivate var isNothing: Bool {
    guard let scalar, scalar.style == .plain else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }
}

extension RecordKind {
  /// Reason why an id in a file is not valid. `nil` means that the id is valid.
  fileprivate func mistake(inID id: String) -> String? {
    let path = AccountPath(id)
    switch idForm {
    case .text: return nil
    case .host:
      return Self.isHostID(id)
        ? nil
        : "“\(id.cut(toBytes: 40))” is not an id of a host: it has 1 to 128 characters of a–z, A–Z, "
          + "0–9, ., :, _ and -"
    case .organisation where path?.team == nil && path != nil: return nil
    case .team where path?.team != nil: return nil
    case .organisation, .team:
      return "“\(id.cut(toBytes: 40))” is not an id such as "
        + (idForm == .team ? "acme/research" : "acme")
        + ": each part has 1 to \(AccountPath.maximumNameBytes) characters of a–z, 0–9, -, _ and ."
    }
  }

  private static func isHostID(_ id: String) -> Bool {
    (1...128).contains(id.utf8.count) && id != "." && id != ".."
      && id.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: [0x2E, 0x3A, 0x5F, 0x2D].contains(byte)
        }
      }
  }
}
