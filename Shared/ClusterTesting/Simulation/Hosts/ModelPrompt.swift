import ClusterModel
import Text

/// A chat request as a simulated host reads it, and the simulated model's answer to it.
struct ModelPrompt {
  private struct Message {
    var role: String
    var text: String
  }

  /// The whole answer.
  let full: String
  /// Text that the host sends: the whole answer, or its continuation.
  let text: String
  let streams: Bool
  let includesUsage: Bool
  /// Estimated tokens of the prompt, one per four bytes.
  let promptTokens: Int
  /// The request's text that is to be continued; `nil` means that the answer begins anew.
  let prefix: String?

  /// - Returns: `nil` if the body is not a chat request.
  init?(body: [UInt8]) {
    guard let document = try? JSONDocument(validating: body),
      let list = document.value("messages", in: document.root)
    else { return nil }
    func flag(_ name: String, in value: JSONValue) -> Bool {
      document.value(name, in: value).flatMap { document.boolean($0) } ?? false
    }
    var messages = document.elements(of: list).map { message in
      func text(_ name: String) -> String {
        document.value(name, in: message).flatMap { document.string($0) } ?? ""
      }
      return Message(role: text("role"), text: text("content"))
    }
    streams = flag("stream", in: document.root)
    includesUsage =
      document.value("stream_options", in: document.root).map { flag("include_usage", in: $0) }
      ?? false
    promptTokens = max(1, body.count / 4)

    var anchor: String?
    if let last = messages.last, last.role == "user", messages.count >= 3,
      let found = Self.anchor(in: last.text)
    {
      anchor = found
      messages.removeLast()
    }
    if let last = messages.last, last.role == "assistant" {
      prefix = last.text
      messages.removeLast()
    } else {
      prefix = nil
    }
    let answer = Self.answer(to: messages, continuing: prefix)
    full = answer
    if let prefix, answer.utf8.starts(with: prefix.utf8) {
      text =
        (anchor ?? "") + String(decoding: answer.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    } else {
      text = answer
    }
  }

  /// The words that the host is asked to repeat before it continues.
  private static func anchor(in text: String) -> String? {
    guard text.hasPrefix("Your answer above was cut off."),
      let begin = text.firstRange(of: "\n<<<"), text.hasSuffix(">>>")
    else { return nil }
    return String(text[begin.upperBound...].dropLast(3))
  }

  private static func answer(to messages: [Message], continuing prefix: String?) -> String {
    let last = messages.last { $0.role == "user" }?.text ?? ""
    if let form = form(last) { return form }
    if let prefix, let word = prefix.split(separator: " ").first,
      let found = ModelText.position(of: word.filter(\.isLetter))
    {
      return ModelText.full(found.tag)
    }
    return ModelText.full(tag(of: messages))
  }

  /// The answer to a prompt that asks for a fixed format; `nil` for any other prompt.
  private static func form(_ prompt: String) -> String? {
    if prompt.contains(#"{"specialists":["#) {
      return #"{"specialists":[{"name":"facts","role":"research","brief":"Find the facts.","#
        + #""needs":[]},{"name":"proof","role":"reasoning","brief":"Prove them.","#
        + #""needs":["facts"]}],"criteria":["complete"]}"#
    }
    if prompt.contains(#"{"verdict":"repair""#) {
      // The review's outcome varies with the draft, so that some plans repair and others do not.
      let tag = ModelText.Tag(prompt: prompt.utf8)
      return tag.number % 3 == 0
        ? #"{"verdict":"repair","quality":3,"accuracy":2,"coherence":4,"issues":"#
          + #"[{"kind":"facts","issue":"One fact is missing.","fix":"Add it."}]}"#
        : #"{"verdict":"accept","quality":5,"accuracy":5,"coherence":5,"issues":[]}"#
    }
    if prompt.contains(#"{"parts":["#) {
      return #"{"parts":[{"name":"first","task":"Write the first half.","needs":[]},"#
        + #"{"name":"second","task":"Write the second half.","needs":[]}],"merge":"in_order"}"#
    }
    if let range = prompt.firstRange(of: "Answer with exactly one of these and nothing else: ") {
      return String(prompt[range.upperBound...].prefix { $0 != "," && $0 != "." })
    }
    return nil
  }

  private static func tag(of messages: [Message]) -> ModelText.Tag {
    ModelText.Tag(prompt: messages.flatMap { Array("\($0.role):\($0.text)\n".utf8) })
  }

  /// The model's answer to a request whose only message is the question.
  static func answer(to question: String) -> String {
    answer(to: [Message(role: "user", text: question)], continuing: nil)
  }
}
