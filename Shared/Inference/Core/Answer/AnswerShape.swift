public import ClusterModel
import Limits
import Text

/// Properties of a request that decide whether and how two hosts' texts can be joined.
public struct AnswerShape: Hashable, Sendable {
  /// Maximum choices of a request. A higher number is lowered to this maximum.
  public static let maximumChoices = Limits.answerChoices.value

  /// Number of choices: prompts × `n`. `best_of` adds none, because the host returns only the best
  /// one.
  public var choices = 1
  var hasLogprobs = false
  /// Stop sequences.
  public var stop: [[UInt8]] = []
  /// Whether the stop sequences are too many or too long to watch. Then only the hosts apply them.
  var hasUnwatchedStops = false
  /// Whether the answer must be JSON.
  var wantsJSON = false
  /// Maximum tokens of the answer. `nil` means no limit.
  var maximumTokens: Int?
  /// Whether the client gets the usage, in a chunk or in the body.
  var wantsUsage = false
  /// Estimated prompt tokens: one per four bytes, including JSON syntax, plus a fixed number per
  /// picture, sound or file.
  public var promptTokens = 0
  /// Number of pictures, sounds and files that `promptTokens` does not count, for example because
  /// the request has only their URLs.
  private var uncountedMedia = 0
  /// Maximum prompt tokens that count for a host whose counts are not trusted: one per byte of the
  /// prompt, and four times the usual tokens of a chat template and of each picture.
  var mostPromptTokens: Int {
    promptTokens.addingCapped(TokenEstimate.templateTokens)
      .addingCapped(uncountedMedia.multipliedCapped(by: TokenEstimate.mediaTokens))
      .multipliedCapped(by: TokenEstimate.bytesPerToken)
  }
  /// Whether the last message is the assistant's. Some hosts repeat this message in their answer.
  var hasPrefill = false

  public init() {}

  /// Reads the client's body. A body that is not a JSON object yields the defaults.
  public init(body: [UInt8], endpoint: InferenceEndpoint = .chatCompletions) {
    promptTokens = body.count / TokenEstimate.bytesPerToken
    guard let scanner = try? JSONObjectScanner(body) else { return }
    let document = scanner.document
    let prompts =
      endpoint == .completions ? scanner["prompt"].map { Self.prompts(in: $0, document) } ?? 1 : 1
    let each = max(scanner["n"].flatMap(document.integer) ?? 1, 1)
    choices = min(prompts.multipliedCapped(by: each), Self.maximumChoices)
    if let logprobs = scanner["logprobs"] {
      hasLogprobs = document.boolean(logprobs) ?? (logprobs.kind == .number)
    }
    if let value = scanner["stop"] { readStop(value, document) }
    if let format = scanner["response_format"], let type = document.value("type", in: format) {
      wantsJSON = ["json_object", "json_schema"].contains(document.string(type) ?? "")
    }
    maximumTokens = ["max_completion_tokens", "max_tokens", "n_predict"].lazy
      .compactMap { scanner[$0].flatMap(document.integer) }.first { $0 > 0 }
    let asksUsage = scanner["stream_options"].flatMap { document.value("include_usage", in: $0) }
    wantsUsage =
      asksUsage.flatMap(document.boolean) == true
      || scanner["stream"].flatMap(document.boolean) != true
    (promptTokens, uncountedMedia) = Self.promptTokens(scanner)
    if endpoint == .chatCompletions { hasPrefill = Self.endsWithAssistant(scanner) }
  }

  private static func endsWithAssistant(_ scanner: JSONObjectScanner) -> Bool {
    guard let messages = scanner["messages"] else { return false }
    var last: JSONValue?
    for message in scanner.document.eachElement(of: messages) { last = message }
    return last.flatMap { scanner.document.value("role", in: $0) }
      .flatMap(scanner.document.string) == "assistant"
  }

  private mutating func readStop(_ value: JSONValue, _ document: JSONDocument) {
    func add(_ value: JSONValue) -> Bool {
      guard let text = document.string(value), !text.isEmpty else { return true }
      stop.append(Array(text.utf8))
      return stop.count <= Limits.stopSequences.value && text.utf8.count <= Limits.stopBytes.value
    }
    if value.kind == .array {
      document.forEachElement(of: value, add)
    } else {
      _ = add(value)
    }
    if stop.count > Limits.stopSequences.value
      || stop.contains(where: { $0.count > Limits.stopBytes.value })
    {
      stop = []
      hasUnwatchedStops = true
    }
  }

  /// Number of prompts in a `/v1/completions` request. `prompt` is a text, an array of token
  /// numbers, or an array of texts or of token arrays.
  private static func prompts(in value: JSONValue, _ document: JSONDocument) -> Int {
    guard value.kind == .array else { return 1 }
    var count = 0
    document.forEachElement(of: value) { element in
      // An array of numbers holds the tokens of one prompt.
      guard element.kind != .number else { return false }
      count += 1
      return count < maximumChoices
    }
    return max(count, 1)
  }

  /// Estimates the prompt's tokens. Excludes bytes that no model reads as text: the `tutti`
  /// options, JSON escapes and base64 data.
  /// - Returns: the tokens, and the number of pictures, sounds and files that they do not contain.
  private static func promptTokens(
    _ scanner: JSONObjectScanner
  ) -> (tokens: Int, uncountedMedia: Int) {
    let document = scanner.document
    var text = scanner.bytes.count - (scanner["tutti"]?.range.count ?? 0)
    text = max(text - excessOfEscapes(scanner.bytes), 0)
    var (pictures, uncounted) = (0, 0)
    guard let messages = scanner["messages"], messages.kind == .array else {
      return (text / TokenEstimate.bytesPerToken, 0)
    }
    // Only a text of more than 4 KiB can have a picture that changes the estimate much.
    let isLong = text > 4_096
    document.forEachElement(of: messages) { message in
      guard let content = document.value("content", in: message), content.kind == .array else {
        return true
      }
      document.forEachElement(of: content) { part in
        if isLong, let data = data(in: part, document) {
          text -= data
          pictures += 1
        } else if let type = document.value("type", in: part), document.string(type) != "text" {
          uncounted += 1
        }
        return true
      }
      return true
    }
    let tokens = max(text, 0) / TokenEstimate.bytesPerToken + pictures * TokenEstimate.mediaTokens
    return (tokens, uncounted)
  }

  /// Number of bytes that JSON escapes add to the text. A model reads the text without escapes.
  private static func excessOfEscapes(_ bytes: [UInt8]) -> Int {
    var excess = 0
    var position = 0
    while let escape = bytes[position...].firstIndex(of: UInt8(ascii: "\\")) {
      guard escape + 1 < bytes.count else { break }
      position = escape + 2
      guard bytes[escape + 1] == UInt8(ascii: "u"), escape + 5 < bytes.count else {
        excess += 1
        continue
      }
      position = escape + 6
      func digit(_ place: Int) -> UInt8 { bytes[escape + 2 + place] | 0x20 }
      // The UTF-8 form of the character has one, two or three bytes. A surrogate is half of a
      // character of four bytes.
      let isBelow0x800 = digit(0) == 0x30 && digit(1) < 0x38
      let isASCII = isBelow0x800 && digit(1) == 0x30 && digit(2) < 0x38
      let isSurrogate = digit(0) == 0x64 && digit(1) >= 0x38
      excess += isASCII ? 5 : isBelow0x800 || isSurrogate ? 4 : 3
    }
    return excess
  }

  /// Number of bytes of base64 data in a part of a message. Examples:
  /// `{"type":"image_url","image_url":{"url":"data:…"}}` and
  /// `{"type":"input_audio","input_audio":{"data":"…"}}`. `nil` means that the part has at most
  /// 256 bytes of such data.
  private static func data(in part: JSONValue, _ document: JSONDocument) -> Int? {
    guard let type = document.value("type", in: part).flatMap(document.string), type != "text",
      let value = document.value(type, in: part)
    else { return nil }
    for name in ["url", "data", "file_data"] {
      if let data = document.value(name, in: value), data.range.count > 256 {
        return data.range.count
      }
    }
    return nil
  }

  /// Why no other host can resume the answer. `nil` means that another host can.
  var obstacle: String? {
    if choices > 1 { return "it has \(choices) choices (n)" }
    if hasLogprobs { return "it carries logprobs" }
    if hasUnwatchedStops {
      return "it has more than \(Limits.stopSequences.value) stop sequences or one longer than "
        + "\(Limits.stopBytes.value) bytes, which are not checked where the texts of two hosts join"
    }
    return nil
  }
}
