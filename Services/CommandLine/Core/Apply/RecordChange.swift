/// A change of one record that makes it equal to the file.
public struct RecordChange: Hashable, Sendable {
  public enum Action: Hashable, Sendable {
    /// Members of the new record.
    case create([String: RecordValue])
    case update([MemberChange])
    /// A new record with these members replaces the present one. The registry keeps both.
    case supersede([MemberChange], by: [String: RecordValue])
    case remove
  }

  public struct MemberChange: Hashable, Sendable {
    public let name: String
    public let old: RecordValue
    public let new: RecordValue
  }

  public let kind: RecordKind
  /// The registry's id of the record; for a new key its name.
  public let id: String
  /// The record's name for people.
  public let label: String
  public let action: Action

  /// `host gpu-1`; for the tariff only `tariff`.
  public var title: String { label.isEmpty ? kind.noun : "\(kind.noun) \(label)" }

  /// Whether the change makes a key, whose secret must be kept.
  public var makesKey: Bool {
    if kind == .keys, case .create = action { true } else { false }
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
  /// Path of the record whose ETag the request must match. `nil` means that it has none.
  public let guardPath: String?
}

// MARK: - Requests of a change

extension RecordChange {
  /// The first request. For a new key, its answer has the id for `followingCalls(id:)`.
  public var firstCalls: [AdminCall] {
    switch action {
    case .create(let members), .supersede(_, by: let members):
      return [creation(members)]
    case .update(let changes):
      return calls(for: changes.map { ($0.name, $0.new) }, id: id)
    case .remove:
      let path = kind.path(of: id)
      if case .null = kind.removal {
        return [AdminCall(method: .patch, path: path, body: .object([id: .null]), guardPath: path)]
      }
      return [AdminCall(method: .delete, path: path, body: nil, guardPath: path)]
    }
  }

  /// Requests after the first one of a new record, for members that its creation cannot set.
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
        guardPath: kind.path)
    }
    if kind.creation == .patch {
      return AdminCall(
        method: .patch, path: kind.path(of: id), body: .object(body), guardPath: nil)
    }
    if case .member(let name) = kind.identity { body[name] = .text(id) }
    return AdminCall(method: .post, path: kind.path, body: .object(body), guardPath: nil)
  }

  private func calls(for members: [(String, RecordValue)], id: String) -> [AdminCall] {
    let path = kind.path(of: id)
    if kind.identity == .map {
      return members.map { _, value in
        AdminCall(method: .patch, path: path, body: .object([id: value]), guardPath: path)
      }
    }
    var calls: [AdminCall] = []
    let body = members.filter { [.record, .consent].contains(kind.request(for: $0.0)) }
    if !body.isEmpty {
      calls.append(
        AdminCall(
          method: .patch, path: path,
          body: .object(Dictionary(body, uniquingKeysWith: { _, last in last })),
          guardPath: path))
    }
    for (name, value) in members.sorted(by: { $0.0 < $1.0 }) {
      switch kind.request(for: name) {
      case .record, .consent: break
      case .state:
        calls.append(
          AdminCall(
            method: .post, path: path + (value == .text("disabled") ? "/disable" : "/enable"),
            body: nil, guardPath: path))
      case .keyBudgets:
        let path = RecordKind.keyBudgetsPath(id)
        calls.append(
          AdminCall(
            method: .put, path: path, body: .object(["budgets": value]), guardPath: path))
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

// MARK: - Other changes meanwhile

extension RecordChange {
  /// Names of members that another admin changed since the comparison.
  ///
  /// - Parameter answer: the record as the registry has it now.
  public func staleMembers(in answer: RecordValue) -> [String] {
    guard case .update(let changes) = action,
      case .object(let values)? = kind.identity == .map
        ? answer["data"]?.elements?.first(where: { $0["id"] == .text(id) }) : answer
    else { return [] }
    // Budgets of keys are not in the record.
    let members = kind.members.filter { $0.request == .record || $0.request == .state }
    let present = members.normal(values)
    return changes.filter { change in
      members.contains { $0.name == change.name }
        && present[change.name] ?? .null != change.old
    }.map(\.name)
  }
}
