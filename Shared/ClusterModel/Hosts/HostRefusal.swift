/// A host's refusal: its status and its error members, except the message.
public struct HostRefusal: Hashable, Sendable {
  /// A member of the host's error object.
  public struct Member: Hashable, Sendable {
    public var name: String
    /// The value as the host sent it.
    public var json: [UInt8]

    public init(name: String, json: [UInt8]) {
      self.name = name
      self.json = json
    }
  }

  public var status: Int
  /// Members of the error object, such as `type`, `param` and `code`. `message` and members that
  /// are `null` are left out.
  public var members: [Member]

  /// Headers of the host's answer that go to the client.
  public var headers: [PassedHeader] = []

  public init(status: Int, members: [Member] = []) {
    self.status = status
    self.members = members
  }
}

/// A header of a host's answer that goes to the client.
public struct PassedHeader: Hashable, Sendable {
  /// Name in lower case.
  public let name: String
  public let value: String

  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }
}
