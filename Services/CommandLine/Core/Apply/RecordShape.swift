import Limits
import Money

/// Permitted values of a member, and their normal form.
indirect enum RecordShape: Hashable, Sendable {
  /// - Parameter atMost: maximum bytes.
  case text(atMost: Int = 2_048)
  /// Tag or region of a host.
  case tag
  /// Reference to a secret. The text may be the secret itself, so no message repeats it.
  case credential
  /// An organisation, or a team within it.
  case account
  /// Base URL of a host.
  case url
  case choice([String])
  case flag
  case integer(ClosedRange<Int>)
  /// Credits in decimal digits.
  case amount
  /// Credits per million tokens, in decimal digits.
  case price
  /// Milliseconds since 1970. A file may have a date instead.
  case time
  /// A list whose order has no meaning.
  case set(RecordShape, atMost: Int = 1_000)
  /// A list of different values whose order has a meaning.
  case list(RecordShape, atMost: Int = 1_000)
  case object([RecordMember])
  /// Any value. Only the registry knows which values are permitted.
  case any

  /// Member with this name. `nil` means that the object has no such member, or that the shape is no
  /// object.
  func member(_ name: String) -> RecordMember? {
    if case .object(let members) = self { members.first { $0.name == name } } else { nil }
  }

  /// The normal form of a value, so that equal records compare as equal. A value that does not fit
  /// the shape stays as it is.
  func normal(_ value: RecordValue) -> RecordValue {
    switch (self, value) {
    // Older registries list the models of a host as objects.
    case (.text, .object(let members)): members["id"] ?? value
    case (.url, .text(let text)): .text(HostURL.normal(text))
    case (.amount, .text(let text)), (.price, .text(let text)):
      (try? MicroCredits(credits: text)).map { .text($0.credits) } ?? value
    case (.amount, .integer(let number)), (.price, .integer(let number)): .text("\(number)")
    case (.set, .null), (.list, .null): .list([])
    case (.set(let shape, _), .list(let elements)):
      .list(Set(elements.map(shape.normal)).sorted(by: RecordValue.precedes))
    case (.list(let shape, _), .list(let elements)): .list(elements.map(shape.normal))
    case (.object(let members), .object(let values)): .object(members.normal(values))
    case (.object(let members), .null): .object(members.normal([:]))
    default: value
    }
  }

  /// Whether two values in normal form mean the same.
  func isEqual(_ left: RecordValue, _ right: RecordValue) -> Bool {
    switch (self, left, right) {
    case (.any, .null, _), (.any, _, .null): left == right
    // The registry may read `"64"` as a number, so the values are compared as text.
    case (.any, _, _): left.shown == right.shown
    case (.url, .text(let left), .text(let right)):
      HostURL.identity(left) == HostURL.identity(right)
    default: left == right
    }
  }
}

/// A member of a record that a cluster file may set.
public struct RecordMember: Hashable, Sendable {
  /// Meaning of a member that the file does not have.
  enum Absence: Hashable, Sendable {
    case mistake
    case means(RecordValue)
    /// The registry's value stays, whatever it is.
    case keeps
  }

  /// The request that changes a member.
  enum Request: Hashable, Sendable {
    /// The request that creates or changes the record.
    case record
    /// `POST …/enable` and `…/disable`.
    case state
    /// `PUT /admin/v1/key-budgets/ID`.
    case keyBudgets
    /// The requests that create or change the record. The registry does not return this member, so
    /// the member is not compared.
    case consent
  }

  let name: String
  let shape: RecordShape
  let absence: Absence
  let request: Request
  /// Whether the value cannot change after the record was created.
  let isFixed: Bool
  /// Whether the host reports a value of its own if an admin has set none. Older registries return
  /// only the value in force. An export of that value would turn the host's report into a setting.
  let isLearned: Bool

  init(
    _ name: String, _ shape: RecordShape, absent: Absence = .means(.null),
    by request: Request = .record, isFixed: Bool = false, isLearned: Bool = false
  ) {
    self.name = name
    self.shape = shape
    absence = absent
    self.request = request
    self.isFixed = isFixed
    self.isLearned = isLearned
  }

  /// The value that an absent member means, in normal form. `nil` means that absence has no such
  /// meaning.
  var absentValue: RecordValue? {
    if case .means(let value) = absence { shape.normal(value) } else { nil }
  }
}

extension [RecordMember] {
  /// Returns the normal forms of the members in `values`, and the values that absent members mean.
  /// Unknown members are left out.
  func normal(_ values: [String: RecordValue]) -> [String: RecordValue] {
    var members: [String: RecordValue] = [:]
    for member in self {
      if let value = values[member.name], value != .null {
        members[member.name] = member.shape.normal(value)
      } else if let value = member.absentValue {
        members[member.name] = value
      }
    }
    return members
  }
}

/// A base URL of a host in the form that the registry stores.
enum HostURL {
  /// Returns the same text for two spellings of one host's URL. Two records of hosts must not have
  /// the same text.
  static func identity(_ url: String) -> String {
    let url = normal(url)
    for scheme in ["http://", "https://"] where url.hasPrefix(scheme + "localhost") {
      let rest = url.dropFirst(scheme.utf8.count + "localhost".utf8.count)
      if rest.isEmpty || rest.hasPrefix(":") || rest.hasPrefix("/") {
        return scheme + "127.0.0.1" + rest
      }
    }
    return url
  }

  /// Returns the URL in lower case up to its path. A trailing slash, paths of the API such as
  /// `/v1`, and the default port of the scheme are left out.
  static func normal(_ url: String) -> String {
    let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count >= 3, parts[1].isEmpty else { return url }
    let scheme = parts[0].lowercased()
    var authority = parts[2].lowercased()
    let ownPort = scheme == "https:" ? ":443" : ":80"
    if authority.hasSuffix(ownPort) { authority.removeLast(ownPort.utf8.count) }
    var path = parts.count > 3 ? "/" + String(parts[3]) : ""
    for suffix in ["/", "/chat/completions", "/models", "/", "/v1", "/"] {
      while path.hasSuffix(suffix) {
        path.removeLast(suffix.utf8.count)
        if suffix != "/" { break }
      }
    }
    return "\(scheme)//\(authority)\(path)"
  }
}
