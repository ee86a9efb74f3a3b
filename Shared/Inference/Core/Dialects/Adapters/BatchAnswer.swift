import ClusterModel
import Limits
import Text

/// An array with one answer for each prompt. Some versions of llama.cpp return such an array from
/// `/v1/completions`.
enum BatchAnswer {
  /// Merges the array into one answer with all choices. `nil` means that the body is not such an
  /// array.
  static func merged(
    _ body: [UInt8], _ allowance: inout Allowance
  ) throws(AttemptFailure) -> [UInt8]? {
    guard body.first(where: { $0 > 0x20 }) == UInt8(ascii: "[") else { return nil }
    try allowance.charge(4 * body.count)
    guard let document = try? JSONDocument(validating: body),
      let first = document.firstElement(of: document.root)
    else { return nil }
    var choices: [UInt8] = []
    var usage: Usage?
    for answer in document.eachElement(of: document.root) {
      let values = document.values(["choices", "usage"], in: answer)
      guard let own = values[0], own.kind == .array else { return nil }
      for choice in document.eachElement(of: own) {
        choices.append(UInt8(ascii: choices.isEmpty ? "[" : ","))
        choices += document.slice(choice)
      }
      guard let more = values[1].flatMap({ Usage($0, in: document) }) else { continue }
      usage = usage.map { $0 + more } ?? more
    }
    try allowance.charge(buffer: 2 * choices.capacity)
    guard !choices.isEmpty,
      let scanner = try? JSONObjectScanner(
        Array(document.slice(first)), maximumMembers: Limits.answerMembers.value)
    else { return nil }
    choices.append(UInt8(ascii: "]"))
    var members: [(name: String, json: [UInt8])] = [("choices", choices)]
    if let usage { members.append(("usage", usage.json.encoded)) }
    return scanner.edited(replacing: members)
  }
}
