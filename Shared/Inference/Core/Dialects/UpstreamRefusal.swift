import ClusterModel
import Limits
import Text

/// The error response with which a host refuses a request.
public struct UpstreamRefusal: Hashable, Sendable {
  public var status: Int
  /// Members of the host's error object that the client gets. The message is not among them.
  var members: [HostRefusal.Member]
  /// Request members that the host reports as faulty, in lower case, such as `stream_options` or
  /// `messages.0.role`.
  var named: [String]
  /// The host's messages and error codes, in lower case.
  var words: String

  /// Maximum bytes of `words`. A list of ten faulty fields has about 1,000.
  private static let longestWords = 2_048
  /// Maximum faulty fields that are read.
  private static let mostNamed = 16

  init(status: Int, words: String, named: [String] = []) {
    self.status = status
    self.words = words.lowercased()
    self.named = named.map { $0.lowercased() }
    members = []
  }

  /// - Parameter body: The body of a response whose status is not 2xx.
  public init(status: Int, body: [UInt8]) {
    self.init(status: status, words: "")
    guard let document = try? JSONDocument(validating: body) else {
      words = Self.cut(String(decoding: body.prefix(Self.longestWords), as: UTF8.self))
      return
    }
    // Gemini wraps its error object in an array.
    var root = document.root
    if root.kind == .array, let first = document.firstElement(of: root) { root = first }
    let outer = document.values(["error", "detail", "message"], in: root)
    if let error = outer[0], error.kind == .object {
      read(error, document, isFlat: false)
    } else if let detail = outer[1], detail.kind == .array {
      read(detail: detail, document)
    } else {
      read(root, document, isFlat: true)
    }
  }

  /// - Parameter isFlat: `true` means that `error` is the whole body and not an object in it.
  ///   Members with unknown names are then left out.
  private mutating func read(_ error: JSONValue, _ document: JSONDocument, isFlat: Bool) {
    var texts: [String] = []
    var bytes = 0
    for member in document.eachMember(of: error) {
      let text = document.string(member.value)
      switch member.name {
      case "message", "error", "detail":
        // Some hosts put a whole error object in the place of the message.
        texts.append(text ?? String(decoding: document.slice(member.value), as: UTF8.self))
        continue
      case "param": named += text.map { [$0.lowercased()] } ?? []
      case "code", "type", "status": texts += text.map { [$0] } ?? []
      default: if isFlat { continue }
      }
      guard member.value.kind != .null else { continue }
      bytes = bytes.addingCapped(member.name.utf8.count + member.value.range.count)
      guard bytes <= Limits.errorMemberBytes.value, members.count < Limits.errorMembers.value,
        !members.contains(where: { $0.name == member.name })
      else { continue }
      members.append(
        HostRefusal.Member(name: member.name, json: Self.line(document.slice(member.value))))
    }
    words = Self.cut(texts.joined(separator: " "))
  }

  /// Reads the errors of FastAPI and Pydantic:
  /// `[{"type":"extra_forbidden","loc":["body","seed"],"msg":"…"}]`.
  private mutating func read(detail: JSONValue, _ document: JSONDocument) {
    var texts: [String] = []
    for fault in document.eachElement(of: detail).prefix(Self.mostNamed) {
      let members = document.values(["loc", "msg", "type"], in: fault)
      var path: [String] = []
      if let location = members[0] {
        for step in document.eachElement(of: location).prefix(Self.mostNamed) {
          path.append(
            document.string(step) ?? String(decoding: document.slice(step), as: UTF8.self))
        }
      }
      if path.first == "body" { path.removeFirst(1) }
      if !path.isEmpty { named.append(path.joined(separator: ".").lowercased()) }
      texts +=
        [path.joined(separator: ".")]
        + members.dropFirst().compactMap {
          $0.flatMap(document.string)
        }
    }
    words = Self.cut(texts.joined(separator: " "))
    guard let first = named.first, first.utf8.count <= Limits.nameBytes.value else { return }
    members = [HostRefusal.Member(name: "param", json: JSON.quoted(first))]
  }

  /// Replaces control characters, because the JSON may become part of a line in an event stream.
  private static func line(_ json: ArraySlice<UInt8>) -> [UInt8] {
    json.map { $0 < 0x20 ? 0x20 : $0 }
  }

  private static func cut(_ text: String) -> String {
    text.cut(toBytes: longestWords).lowercased()
  }

  /// Replaces a secret by asterisks wherever the host repeats it in its error.
  public mutating func hide(_ secret: String) {
    words = words.replacing(secret.lowercased(), with: "***")
    for place in members.indices {
      // In JSON, a slash may be escaped.
      for form in [secret, secret.replacing("/", with: "\\/")] {
        members[place].json = Array(
          String(decoding: members[place].json, as: UTF8.self)
            .replacing(form, with: "***").utf8)
      }
    }
  }

  /// The part of the error that the client gets.
  var forClient: HostRefusal { HostRefusal(status: status, members: members) }
}
