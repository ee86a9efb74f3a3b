/// Number of a change. A later change of any record has a larger number, and no number is used
/// twice. The number can therefore serve as an ETag.
public struct RecordRevision: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let number: Int64

  public init(_ number: Int64) { self.number = number }

  public var description: String { "\(number)" }

  public static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// Name of a record that an admin can change.
public enum RecordSubject: Hashable, Sendable {
  case key(String)
  case organisation(String)
  case team(String, organisation: String)
  case setting(String)
  /// A model's settings, by the model's name.
  case model(String)
}

/// A record in the form in which it is stored. The store does not interpret its JSON.
public struct StoredRecord: Hashable, Sendable {
  public let subject: RecordSubject
  public let json: String
  public let revision: RecordRevision

  public init(subject: RecordSubject, json: String, revision: RecordRevision) {
    self.subject = subject
    self.json = json
    self.revision = revision
  }
}

public struct StoredKey: Hashable, Sendable {
  public let id: String
  /// Keyed hash of the key's secret. It is never part of the audit log.
  public let mac: [UInt8]
  public let json: String
  public let revision: RecordRevision

  public init(id: String, mac: [UInt8], json: String, revision: RecordRevision) {
    self.id = id
    self.mac = mac
    self.json = json
    self.revision = revision
  }
}

/// A row of the price book. Rows are only added and never changed.
public struct StoredPrice: Hashable, Sendable {
  /// Place of the row. A later row has a larger number.
  public let position: Int64
  public let json: String
  let revision: RecordRevision

  init(position: Int64, json: String, revision: RecordRevision) {
    self.position = position
    self.json = json
    self.revision = revision
  }
}

/// State of a record that a change requires.
public enum ExpectedRevision: Hashable, Sendable {
  case absent
  case revision(RecordRevision)
  /// Any state is accepted, even an absent record.
  case any
}

/// A change of one record by an admin.
public enum RecordChange: Hashable, Sendable {
  case saveKey(String, mac: [UInt8], json: String, ExpectedRevision)
  case saveOrganisation(String, json: String, ExpectedRevision)
  case saveTeam(String, organisation: String, json: String, ExpectedRevision)
  case saveSetting(String, json: String, ExpectedRevision)
  case saveModel(String, json: String, ExpectedRevision)
  case appendPrice(json: String)
  case remove(RecordSubject, ExpectedRevision)
}

/// The admin who makes a change, and the time.
public struct ChangeAuthor: Hashable, Sendable {
  /// Id of the admin's key, or another name.
  public let name: String
  /// Milliseconds since 1970.
  public let time: Int64

  public init(name: String, time: Int64) {
    self.name = name
    self.time = time
  }
}

/// Result of a list of changes, which are made together or not at all.
public enum ChangeOutcome: Hashable, Sendable {
  /// The new revision of each record, in the order of the changes.
  case applied([RecordRevision])
  /// A record is not in the expected state, and nothing was changed.
  /// - Parameters:
  ///   - change: index of the first change that expects another state.
  ///   - current: revision of the record. `nil` means that the record is absent.
  case conflict(change: Int, current: RecordRevision?)
}
