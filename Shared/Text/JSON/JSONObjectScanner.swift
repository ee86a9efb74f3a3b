/// The top level of one JSON object, with edits that leave every other byte unchanged.
public struct JSONObjectScanner: Sendable {
  /// Default limit of members. Requests have some 30. The limit bounds the memory for a body of a
  /// million members.
  public static let standardMembers = 1_024

  public let document: JSONDocument
  public let members: [JSONMember]
  /// Names that occur more than once, in the order of their second occurrence.
  public let duplicates: [String]

  /// - Throws: `JSONError` if the bytes are not valid JSON, not an object, nest deeper than
  ///   `maximumDepth` levels or have more than `maximumMembers` members.
  public init(
    _ bytes: [UInt8], maximumDepth: Int = JSONDocument.standardDepth,
    maximumMembers: Int = JSONObjectScanner.standardMembers
  ) throws(JSONError) {
    document = try JSONDocument(validating: bytes, maximumDepth: maximumDepth)
    guard document.root.kind == .object else {
      throw JSONError(
        offset: document.root.range.lowerBound,
        reason: "expected an object, found \(document.root.kind.rawValue)")
    }
    var members: [JSONMember] = []
    var seen: Set<String> = []
    var repeated: Set<String> = []
    var duplicates: [String] = []
    for member in document.eachMember(of: document.root) {
      guard members.count < maximumMembers else {
        throw JSONError(
          offset: member.nameRange.lowerBound, reason: "more than \(maximumMembers) members")
      }
      if !seen.insert(member.name).inserted, repeated.insert(member.name).inserted {
        duplicates.append(member.name)
      }
      members.append(member)
    }
    self.members = members
    self.duplicates = duplicates
  }

  public var bytes: [UInt8] { document.bytes }

  /// The value of the first member of that name.
  public subscript(_ name: String) -> JSONValue? {
    members.first { $0.name == name }?.value
  }

  /// Returns the object with members replaced or removed and every other byte unchanged.
  ///
  /// - Parameters:
  ///   - replacements: names of members and their new JSON. A name that the object does not have is
  ///     added at the beginning.
  ///   - removals: names of members to remove, each with one of its commas.
  public func edited(
    replacing replacements: [(name: String, json: [UInt8])], removing removals: Set<String> = []
  ) -> [UInt8] {
    let kept = members.filter { !removals.contains($0.name) }
    let added = replacements.filter { new in !kept.contains { $0.name == new.name } }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + replacements.reduce(0) { $0 + $1.json.count + 16 })

    let body = document.root.range.lowerBound + 1
    result += bytes[..<body]
    for (index, new) in added.enumerated() {
      JSON.appendString(new.name, to: &result)
      result.append(UInt8(ascii: ":"))
      result += new.json
      if index + 1 < added.count || !kept.isEmpty { result.append(UInt8(ascii: ",")) }
    }

    // A member's bytes begin at the end of the previous member (comma and white space included) and
    // end with its value. The first member that stays drops a comma that it no longer needs.
    var previousEnd = body
    var needsComma = false
    for member in members {
      defer { previousEnd = member.value.range.upperBound }
      guard !removals.contains(member.name) else { continue }
      let lead = bytes[previousEnd..<member.nameRange.lowerBound]
      let hasComma = lead.contains(UInt8(ascii: ","))
      if hasComma, !needsComma {
        result += lead.drop { $0 != UInt8(ascii: ",") }.dropFirst()
      } else {
        result += lead
      }
      needsComma = true
      result += bytes[member.nameRange.lowerBound..<member.value.range.lowerBound]
      if let new = replacements.first(where: { $0.name == member.name }) {
        result += new.json
      } else {
        result += document.slice(member.value)
      }
    }
    result += bytes[previousEnd...]
    return result
  }
}
