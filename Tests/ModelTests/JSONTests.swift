import ClusterModel
import Testing
import Text

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
private func text(_ bytes: some Collection<UInt8>) -> String {
  String(decoding: bytes, as: UTF8.self)
}

/// Generates random valid JSON; for an object, also its members.
private struct JSONMaker {
  var rng: SplitMix64

  mutating func whitespace() -> String {
    ["", "", "", " ", "\n", "\t ", " \r\n"].randomElement(using: &rng)!
  }

  mutating func string() -> String {
    let pieces = [
      "a", "model", "tutti", "\\\"", "\\\\", "\\n", "\\u0000", "\\ud83d\\ude00", "\\ud800", "é",
      "日本", "😀", "{", "}", "[", "]", ",", ":", " ", "\\/",
    ]
    return "\""
      + (0..<Int.random(in: 0..<6, using: &rng)).map { _ in pieces.randomElement(using: &rng)! }
      .joined() + "\""
  }

  mutating func value(depth: Int) -> String {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &rng) {
    case 0: return ["true", "false"].randomElement(using: &rng)!
    case 1: return "null"
    case 2, 3: return string()
    case 4: return ["0", "-0", "1", "-12.5", "1e9", "2.5E-3", "0.0e+1"].randomElement(using: &rng)!
    case 5: return ["{}", "[]", "{ }", "[\n]"].randomElement(using: &rng)!
    case 6: return object(depth: depth - 1, names: nil).text
    default:
      let elements = (0..<Int.random(in: 1..<4, using: &rng)).map { _ in
        whitespace() + value(depth: depth - 1) + whitespace()
      }
      return "[" + elements.joined(separator: ",") + "]"
    }
  }

  mutating func object(
    depth: Int, names: [String]?
  ) -> (text: String, members: [(name: String, value: String)]) {
    var members: [(name: String, value: String)] = []
    for index in 0..<(names?.count ?? Int.random(in: 1..<5, using: &rng)) {
      members.append((names?[index] ?? "k\(index)", value(depth: depth)))
    }
    var text = "{"
    for (index, member) in members.enumerated() {
      text += (index > 0 ? "," : "") + whitespace() + "\"\(member.name)\"" + whitespace() + ":"
      text += whitespace() + member.value + whitespace()
    }
    return (text + "}", members)
  }
}

@Suite("JSON is checked and spliced where it lies")
struct JSONTests {
  @Test(
    "text that RFC 8259 forbids is refused",
    arguments: [
      "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":}", "01", "1.", ".5",
      "+1", "-", "1e", "1e+", "0x1", "NaN", "tru", "truex", "nul", "\"", "\"\\x\"", "\"\\u12g4\"",
      "\"a\nb\"", "\"\u{0}\"", "[1 2]", "{} {}", "[1]]", "{\"a\":1]", "[1}", "'a'", "\u{FEFF}{}",
    ])
  func refuses(_ invalid: String) {
    #expect(throws: JSONError.self) { try JSONDocument(validating: bytes(invalid)) }
  }

  @Test("bytes that are not UTF-8 are refused inside strings and outside")
  func refusesInvalidUTF8() {
    for wrong: [UInt8] in [
      [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82],
    ] {
      #expect(throws: JSONError.self) {
        try JSONDocument(validating: [0x22] + wrong + [0x22])
      }
      #expect(throws: JSONError.self) { try JSONDocument(validating: wrong) }
    }
  }

  @Test("nesting has a limit, and a million brackets are refused without a crash")
  func nesting() throws {
    let deep = { (count: Int) in
      bytes(String(repeating: "[", count: count) + String(repeating: "]", count: count))
    }
    _ = try JSONDocument(validating: deep(JSONDocument.standardDepth))
    #expect(throws: JSONError.self) {
      try JSONDocument(validating: deep(JSONDocument.standardDepth + 1))
    }
    #expect(throws: JSONError.self) { try JSONDocument(validating: deep(1_000_000)) }
  }

  @Test("members, elements and scalars are read back as they were written")
  func reads() throws {
    let document = try JSONDocument(
      validating: bytes(#" {"a":[1, "x\n\u00e9\ud83d\ude00",true] , "b":{"c":null},"n":1e3} "#))
    let members = document.members(of: document.root)
    #expect(members.map(\.name) == ["a", "b", "n"])
    let elements = document.elements(of: members[0].value)
    #expect(elements.map(\.kind) == [.number, .string, .boolean])
    #expect(document.integer(elements[0]) == 1)
    #expect(document.string(elements[1]) == "x\né😀")
    #expect(document.boolean(elements[2]) == true)
    #expect(document.value("c", in: members[1].value)?.kind == .null)
    #expect(document.integer(members[2].value) == 1_000)
    #expect(text(document.slice(members[1].value)) == #"{"c":null}"#)
  }

  @Test("members that occur twice are named once")
  func duplicates() throws {
    let scanner = try JSONObjectScanner(
      bytes(#"{"model":1,"a":2,"m\u006fdel":3,"model":4,"a":5}"#))
    #expect(scanner.duplicates == ["model", "a"])
  }

  @Test("an object of too many members is refused")
  func tooManyMembers() {
    let many = "{" + (0..<2_000).map { "\"k\($0)\":0" }.joined(separator: ",") + "}"
    #expect(throws: JSONError.self) { try JSONObjectScanner(bytes(many)) }
  }

  @Test(
    "splicing changes only the given members",
    arguments: [
      (#"{"model":"a","x":1}"#, #"{"model":"NEW","x":1}"#),
      (#"{ "x" : 1 , "model" : "a" }"#, #"{ "x" : 1 , "model" : "NEW" }"#),
      (#"{"tutti":{"a":[1,{}]},"model":"a"}"#, #"{"model":"NEW"}"#),
      (#"{"model":"a","tutti":{}}"#, #"{"model":"NEW"}"#),
      (#"{"model":"a", "tutti":{} , "x":1}"#, #"{"model":"NEW" , "x":1}"#),
      (#"{"x":1}"#, #"{"model":"NEW","x":1}"#),
      (#"{}"#, #"{"model":"NEW"}"#),
      (#"{"tutti":1}"#, #"{"model":"NEW"}"#),
      (#"{"tutti":1 , "tutti":2}"#, #"{"model":"NEW"}"#),
    ])
  func splices(_ before: String, _ after: String) throws {
    let edited = try JSONObjectScanner(bytes(before)).edited(
      replacing: [(name: "model", json: bytes("\"NEW\""))], removing: ["tutti"])
    #expect(text(edited) == after)
  }

  @Test("random JSON is accepted, and splicing keeps the bytes of every other member")
  func fuzzValid() throws {
    for seed in 0..<2_000 as Range<UInt64> {
      var maker = JSONMaker(rng: SplitMix64(seed: seed))
      var names = ["a", "model", "b", "tutti", "c"]
      names.shuffle(using: &maker.rng)
      names = Array(names.prefix(Int.random(in: 0...5, using: &maker.rng)))
      let (source, members) = maker.object(depth: 3, names: names)
      let scanner = try JSONObjectScanner(bytes(source))
      #expect(scanner.members.map(\.name) == names, "seed \(seed)")
      for (member, made) in zip(scanner.members, members) {
        #expect(text(scanner.document.slice(member.value)) == made.value, "seed \(seed)")
      }
      let edited = try JSONObjectScanner(
        scanner.edited(
          replacing: [(name: "model", json: bytes("\"NEW\""))], removing: ["tutti"]))
      var expected = members.filter { $0.name != "tutti" }
        .map { ($0.name, $0.name == "model" ? "\"NEW\"" : $0.value) }
      if !names.contains("model") { expected.insert(("model", "\"NEW\""), at: 0) }
      #expect(edited.members.map(\.name) == expected.map(\.0), "seed \(seed)")
      #expect(
        edited.members.map { text(edited.document.slice($0.value)) } == expected.map(\.1),
        "seed \(seed)")
    }
  }

  @Test("damaged JSON never crashes, and what is accepted can be walked")
  func fuzzDamaged() {
    for seed in 0..<4_000 as Range<UInt64> {
      var maker = JSONMaker(rng: SplitMix64(seed: seed))
      var damaged = bytes(maker.object(depth: 3, names: nil).text)
      for _ in 0..<Int.random(in: 1..<4, using: &maker.rng) where !damaged.isEmpty {
        let at = Int.random(in: 0..<damaged.count, using: &maker.rng)
        switch Int.random(in: 0..<3, using: &maker.rng) {
        case 0: damaged.remove(at: at)
        case 1: damaged[at] = UInt8.random(in: 0...255, using: &maker.rng)
        default: damaged = Array(damaged[..<at])
        }
      }
      guard let scanner = try? JSONObjectScanner(damaged) else { continue }
      let edited = scanner.edited(
        replacing: [(name: "model", json: bytes("1"))], removing: ["k0"])
      #expect(throws: Never.self, "seed \(seed)") { try JSONObjectScanner(edited) }
    }
  }

  @Test("written JSON is read back")
  func writes() throws {
    let hard = "a\"b\\c\n\r\t\u{0}\u{1F}é😀/"
    let json: JSON = ["s": .string(hard), "n": -5, "l": [true, nil, .raw(bytes("[1]"))]]
    let document = try JSONDocument(validating: json.encoded)
    let read = try #require(document.value("s", in: document.root))
    #expect(document.string(read) == hard)
    #expect(text(json.encoded).hasSuffix(#""n":-5,"l":[true,null,[1]]}"#))
  }
}
