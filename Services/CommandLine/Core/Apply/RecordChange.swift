/// A change of one record that makes it equal to the file.
public struct RecordChange: Hashable, Sendable {
  enum Action: Hashable, Sendable {
    /// Members of the new record.
    case create([String: RecordValue])
    case update([MemberChange])
    /// A new record with these members replaces the present one. The registry keeps both.
    case supersede([MemberChange], by: [String: RecordValue])
    /// Members that the record had in the comparison.
    case remove([String: RecordValue])
  }

  struct MemberChange: Hashable, Sendable {
    let name: String
    let old: RecordValue
    let new: RecordValue
  }

  let kind: RecordKind
  /// Id of the record in the registry. For a new key, it is the key's name. Empty if the kind has
  /// no ids.
  public let id: String
  /// The record's name for people.
  public let label: String
  let action: Action

  /// Kind and name, for example `host gpu-1`. The tariff's title is `tariff`.
  var title: String { label.isEmpty ? kind.noun : "\(kind.noun) \(label)" }

  /// New value of a member. `nil` means that the change does not set the member.
  func newValue(of name: String) -> RecordValue? {
    switch action {
    case .create(let members), .supersede(_, by: let members): members[name]
    case .update(let changes): changes.first { $0.name == name }?.new
    case .remove: nil
    }
  }

  /// Whether the change makes a key. The secret of a new key must be kept.
  public var makesKey: Bool {
    if kind == .keys, case .create = action { true } else { false }
  }
}

extension RecordChange {
  /// The message after a request that got no answer. The request may have made the change.
  ///
  /// - Parameter reason: why there is no answer.
  public func unknownOutcome(_ reason: String) -> String {
    "\(reason). It is not known whether the change was made"
      + (makesKey
        ? ": if `tutti keys list` shows a new key \(label), revoke it before you run the command "
          + "again, because its secret is lost" : "")
  }
}

/// A request to the admin API.
public struct AdminCall: Hashable, Sendable {
  public enum Method: String, Sendable {
    case post = "POST"
    case patch = "PATCH"
    case put = "PUT"
    case delete = "DELETE"
  }

  public let method: Method
  public let path: String
  public let body: RecordValue?
  /// Path of the record whose ETag the request must match. `nil` means that no ETag is required.
  public let guardPath: String?
  /// Members that the call changes, with their values in the comparison. The call is made only if
  /// the record still has these values.
  var expected: [String: RecordValue] = [:]
  /// Whether the call creates the record if there is none at `guardPath`.
  var makesRecord = false
}

// MARK: - Requests of a change

extension RecordChange {
  /// The request that creates or removes the record, or the requests that change it. For a new key,
  /// the answer has the id for `followingCalls(id:)`.
  public var firstCalls: [AdminCall] {
    switch action {
    case .create(let members), .supersede(_, by: let members):
      return [creation(members)]
    case .update(let changes):
      return calls(
        for: changes.map { ($0.name, $0.new) }, id: id,
        expected: Dictionary(changes.map { ($0.name, $0.old) }, uniquingKeysWith: { $1 }))
    case .remove(let members):
      let path = kind.path(of: id)
      var call = AdminCall(method: .delete, path: path, body: nil, guardPath: path)
      if case .null = kind.removal {
        call = AdminCall(method: .patch, path: path, body: .object([id: .null]), guardPath: path)
      }
      call.expected = members.filter { kind.request(for: $0.key) != .keyBudgets }
      return [call]
    }
  }

  /// Requests after the creation of a record, for members that the creation cannot set.
  public func followingCalls(id: String) -> [AdminCall] {
    guard case .create(let members) = action else { return [] }
    return calls(
      for: members.filter { kind.request(for: $0.key) != .record && !isDefault($0.key, $0.value) }
        .map { ($0.key, $0.value) }, id: id)
  }

  private func creation(_ members: [String: RecordValue]) -> AdminCall {
    var body = members.filter {
      let request = kind.request(for: $0.key)
      return request == .consent || request == .record && !isDefault($0.key, $0.value)
    }
    if kind.identity == .map {
      return AdminCall(
        method: .patch, path: kind.path, body: .object([id: members["value"] ?? .null]),
        guardPath: kind.path, expected: ["value": .null])
    }
    if kind.creation == .patch {
      let path = kind.path(of: id)
      return AdminCall(
        method: .patch, path: path, body: .object(body), guardPath: path,
        expected: kind.members.normal([:]), makesRecord: true)
    }
    if case .member(let name) = kind.identity { body[name] = .text(id) }
    return AdminCall(method: .post, path: kind.path, body: .object(body), guardPath: nil)
  }

  /// - Parameter expected: values that the members had in the comparison.
  private func calls(
    for members: [(String, RecordValue)], id: String, expected: [String: RecordValue] = [:]
  ) -> [AdminCall] {
    let path = kind.path(of: id)
    if kind.identity == .map {
      return members.map { _, value in
        AdminCall(
          method: .patch, path: path, body: .object([id: value]), guardPath: path,
          expected: expected)
      }
    }
    var calls: [AdminCall] = []
    let body = members.filter { [.record, .consent].contains(kind.request(for: $0.0)) }
    if !body.isEmpty {
      calls.append(
        AdminCall(
          method: .patch, path: path,
          body: .object(Dictionary(body, uniquingKeysWith: { _, last in last })),
          guardPath: path, expected: expected.filter { kind.request(for: $0.key) == .record }))
    }
    for (name, value) in members.sorted(by: { $0.0 < $1.0 }) {
      switch kind.request(for: name) {
      case .record, .consent: break
      case .state:
        calls.append(
          AdminCall(
            method: .post, path: path + (value == .text("disabled") ? "/disable" : "/enable"),
            body: nil, guardPath: path, expected: expected.filter { $0.key == name }))
      case .keyBudgets:
        let path = RecordKind.keyBudgetsPath(id)
        calls.append(
          AdminCall(
            method: .put, path: path, body: .object(["budgets": value]), guardPath: path,
            expected: expected.filter { $0.key == name }))
      }
    }
    return calls
  }

  private func isDefault(_ name: String, _ value: RecordValue) -> Bool {
    kind.member(name)?.absentValue == value
  }
}

extension RecordKind {
  fileprivate func request(for name: String) -> RecordMember.Request {
    member(name)?.request ?? .record
  }
}
