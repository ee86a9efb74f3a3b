import ClusterModel
import Limits
import Text

/// Members of a client's request, for translation into another dialect.
///
/// The adapter takes the members that it knows and forwards all others, so that new fields reach
/// the host.
struct RequestFields {
  let scanner: JSONObjectScanner
  /// Budget for translating one request. Work may grow in proportion to the body, and memory is
  /// bounded.
  var allowance: Allowance
  private var taken: Set<String> = ["tutti", "stream", "stream_options"]

  var document: JSONDocument { scanner.document }

  init(_ body: [UInt8]) throws(AdapterRefusal) {
    scanner = try Self.scanner(body)
    allowance = Allowance(memory: Limits.translatedBytes)
    allowance.receive(body.count)
    try work(2 * body.count)
  }

  mutating func work(_ units: Int) throws(AdapterRefusal) {
    do {
      try allowance.work(units)
    } catch {
      throw .cannot("take the request: it needs \(error)")
    }
  }

  /// Charges one message, part, call or tool, and the bytes that are copied for it.
  mutating func keep(_ value: JSONValue) throws(AdapterRefusal) {
    parts += 1
    guard parts <= Limits.translatedParts.value else {
      throw .cannot("take \(Overdrawn(Limits.translatedParts))")
    }
    try work(value.range.count)
    do {
      try allowance.keep(Self.partBytes + 2 * value.range.count)
    } catch {
      throw .cannot("take the request: it needs \(error)")
    }
  }

  /// Memory of a translated message, part, call or tool in addition to its bytes: Swift values and
  /// JSON values.
  private static let partBytes = 512
  private var parts = 0

  static func scanner(_ body: [UInt8]) throws(AdapterRefusal) -> JSONObjectScanner {
    do {
      return try JSONObjectScanner(body)
    } catch {
      throw .invalid("\(error)")
    }
  }

  /// Whether the client wants the usage at the end of its stream.
  var wantsUsage: Bool {
    scanner["stream_options"].flatMap { document.value("include_usage", in: $0) }
      .flatMap(document.boolean) == true
  }

  /// Takes a member. `nil` means that it is absent or `null`.
  mutating func take(_ name: String) -> JSONValue? {
    taken.insert(name)
    return scanner[name].flatMap { $0.kind == .null ? nil : $0 }
  }

  /// Drops members: they are neither translated nor forwarded.
  mutating func drop(_ names: [String]) { taken.formUnion(names) }

  mutating func integer(_ name: String) throws(AdapterRefusal) -> Int? {
    guard let value = take(name) else { return nil }
    guard let number = document.integer(value) else {
      throw .invalid("\(name) is not a whole number")
    }
    return number
  }

  mutating func number(_ name: String) throws(AdapterRefusal) -> Double? {
    guard let value = take(name) else { return nil }
    guard let number = document.number(value) else { throw .invalid("\(name) is not a number") }
    return number
  }

  mutating func boolean(_ name: String) throws(AdapterRefusal) -> Bool? {
    guard let value = take(name) else { return nil }
    guard let answer = document.boolean(value) else {
      throw .invalid("\(name) is neither true nor false")
    }
    return answer
  }

  /// Takes a string or an array of strings.
  mutating func texts(_ name: String) throws(AdapterRefusal) -> [String] {
    guard let value = take(name) else { return [] }
    guard value.kind == .array else {
      guard let text = document.string(value) else { throw .invalid("\(name) is not text") }
      return [text]
    }
    var texts: [String] = []
    try work(value.range.count)
    for element in document.eachElement(of: value) {
      guard let text = document.string(element) else {
        throw .invalid("\(name) has an element that is not text")
      }
      guard texts.count < Limits.translatedTexts.value else {
        throw .cannot("take \(name) with \(Overdrawn(Limits.translatedTexts))")
      }
      texts.append(text)
    }
    return texts
  }

  /// Takes the maximum tokens of the answer, minus the tokens already spent, but at least 1. `nil`
  /// means that the client sets no limit.
  mutating func maxTokens(less spent: Int) throws(AdapterRefusal) -> Int? {
    let newer = try integer("max_completion_tokens")
    let older = try integer("max_tokens")
    return (newer ?? older).map { max($0.subtractingCapped(spent), 1) }
  }

  /// Refuses options that only OpenAI's dialect has.
  mutating func refuseSeveralAnswers() throws(AdapterRefusal) {
    if let n = try integer("n"), n != 1 { throw .cannot("give several choices (n = \(n))") }
    if take("logprobs").flatMap(document.boolean) == true { throw .cannot("give logprobs") }
    if let top = try integer("top_logprobs"), top > 0 { throw .cannot("give top_logprobs") }
    if let bias = take("logit_bias") {
      var members = document.eachMember(of: bias)
      if members.next() != nil { throw .cannot("take a logit_bias") }
    }
    for name in ["functions", "function_call"] where take(name) != nil {
      throw .cannot("take \(name); use tools")
    }
    if take("audio") != nil { throw .cannot("answer with audio") }
    if let modalities = take("modalities"),
      document.eachElement(of: modalities).contains(where: { document.string($0) != "text" })
    {
      throw .cannot("answer in anything but text")
    }
    if take("web_search_options") != nil { throw .cannot("search the web") }
  }

  /// The members that were not taken. They stay unchanged.
  var rest: [(String, JSON)] {
    scanner.members.filter { !taken.contains($0.name) }.map {
      ($0.name, raw($0.value))
    }
  }

  func raw(_ value: JSONValue) -> JSON { .raw(Array(document.slice(value))) }

  func text(_ name: String, in object: JSONValue) -> String? {
    document.value(name, in: object).flatMap(document.string)
  }
}
