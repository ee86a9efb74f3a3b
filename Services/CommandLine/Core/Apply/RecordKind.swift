/// Records of one kind in the admin API, as far as a cluster file can set them.
public struct RecordKind: Hashable, Sendable {
  /// How a record of the file is matched with a record of the registry.
  enum Identity: Hashable, Sendable {
    /// Records are matched by a member whose value the file chooses.
    case member(String)
    /// Records are matched by `id`, or by `name` if the file has no id. The registry has chosen the
    /// id.
    case nameOrID
    /// The kind has exactly one record.
    case single
    /// The section is a map from ids to values.
    case map
    /// Prices are matched by model, host and time. They are only added.
    case prices
  }

  /// Permitted ids in a file.
  enum IDForm: Hashable, Sendable {
    case text, organisation, team, host
  }

  public enum Paging: Hashable, Sendable {
    /// The parameter `after` is the id of the last record of the previous page.
    case after
    /// The parameter `after` is the member `next` of the previous page.
    case next
    /// One answer has all records.
    case none
  }

  enum Creation: Hashable, Sendable {
    case post
    /// A record is created by `PATCH`, as if it were changed. An absent record means default
    /// values.
    case patch
  }

  enum Removal: Hashable, Sendable {
    /// `DELETE`. The verb describes the effect of the request on the record.
    case delete(verb: String)
    /// A request that sets the record's value in the map to `null`.
    case null
    /// Records are never removed. The reason ends a sentence that begins with the record's name.
    case never(because: String)
  }

  /// Section of the file, and the kind's name for `--only`.
  public let section: String
  let noun: String
  public let path: String
  let identity: Identity
  let idForm: IDForm
  let members: [RecordMember]
  public let paging: Paging
  let creation: Creation
  let removal: Removal
  /// Whether older registries have no such records.
  public let isRecent: Bool

  init(
    _ section: String, noun: String, path: String, identity: Identity = .member("id"),
    idForm: IDForm = .text, members: [RecordMember], paging: Paging = .after,
    creation: Creation = .post,
    removal: Removal, isRecent: Bool = false
  ) {
    self.section = section
    self.noun = noun
    self.path = path
    self.identity = identity
    self.idForm = idForm
    self.members = members
    self.paging = paging
    self.creation = creation
    self.removal = removal
    self.isRecent = isRecent
  }

  func member(_ name: String) -> RecordMember? { members.first { $0.name == name } }

  /// The records in an answer to `GET` of `path`. `nil` means that the answer has another form.
  public func elements(of answer: RecordValue) -> [RecordValue]? {
    if identity == .single { return answer["object"] == nil ? nil : [answer] }
    return answer["data"]?.elements
  }

  /// Path of one record.
  public func path(of id: String) -> String {
    switch identity {
    case .single, .map, .prices: return path
    case .member, .nameOrID: break
    }
    // The API's path of a team has both parts of its id.
    if self == .teams, let slash = id.firstIndex(of: "/") {
      return RecordKind.organisations.path(of: String(id[..<slash])) + "/teams/"
        + PathText.escaped(String(id[id.index(after: slash)...]))
    }
    return path + "/" + PathText.escaped(id)
  }
}

/// Text as one part of a path or a query.
public enum PathText {
  public static func escaped(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        bytes.append(byte)
      default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
