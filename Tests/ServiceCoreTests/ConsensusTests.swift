import AgentCore
import ClusterModel
import Foundation
import Testing

@testable import Text

/// Three texts with a labelled outlier, and their similarities under two real embedding models.
///
/// The models are all-MiniLM-L6-v2, which places unrelated texts at 0.0, and multilingual-e5-small,
/// which places them at 0.8. Values are thousandths of `VectorLikeness` for the pairs 1–2, 1–3 and
/// 2–3.
private struct Triple: Decodable {
  var kind: String
  /// Index of the text that differs, or "all", or "none".
  var expected: String
  var texts: [String]
  var minilm: [Int]
  var e5: [Int]

  static func all() throws -> [Triple] {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "triples.json")
    return try JSONDecoder().decode([Triple].self, from: Data(contentsOf: file))
  }

  func inputs(weights: [Int]? = nil) -> [TaskOrder.NamedInput] {
    texts.enumerated().map {
      TaskOrder.NamedInput(name: "Draft \($0)", text: $1, weightMilli: weights?[$0])
    }
  }

  /// Classifies a consensus as "right", "vague" (no claim) or "wrong".
  func verdict(_ consensus: Consensus) -> String {
    let named = consensus.dissent.first.map { String($0.suffix(1)) }
    let said = named ?? (consensus.text.hasPrefix("All") ? "all" : "open")
    if said == expected || said == "open" && expected == "none" { return "right" }
    return said == "open" ? "vague" : "wrong"
  }
}

private func matrix(_ pairs: [Int]) -> [[Int]] {
  [[1_000, pairs[0], pairs[1]], [pairs[0], 1_000, pairs[2]], [pairs[1], pairs[2], 1_000]]
}

@Suite("Agreement of drafts")
struct ConsensusTests {
  @Test("real vectors make three times as much of labelled texts as words alone")
  func labelled() throws {
    let triples = try Triple.all()
    #expect(triples.count == 34)
    func tally(_ consensus: (Triple) throws -> Consensus) rethrows -> [String: Int] {
      try triples.reduce(into: [:]) { tally, triple in
        tally[triple.verdict(try consensus(triple)), default: 0] += 1
      }
    }
    let words = try tally {
      try #require(Consensus(weighed: $0.inputs(weights: Agreement.weights(of: $0.texts))))
    }
    let minilm = tally { Consensus(of: $0.inputs(), meanings: matrix($0.minilm)) }
    let e5 = tally { Consensus(of: $0.inputs(), meanings: matrix($0.e5)) }
    // Known errors: texts of the kind "alike" differ in one word that reverses their meaning, which
    // no embedding shows.
    #expect(words == ["right": 6, "vague": 23, "wrong": 5])
    #expect(minilm == ["right": 17, "vague": 7, "wrong": 10])
    #expect(e5 == ["right": 20, "vague": 7, "wrong": 7])
  }

  @Test("the dissenter is named, and everybody's weight, without a number reaching the model")
  func named() {
    let inputs = ["a", "b", "c"].enumerated().map { place, letter in
      TaskOrder.NamedInput(
        name: "Draft \(place + 1)",
        text: "This text about \(letter) is longer than six words, \(letter) that is.")
    }
    let consensus = Consensus(of: inputs, meanings: matrix([900, 20, 10]))
    #expect(consensus.basis == .wordsAndEmbedding)
    #expect(consensus.basis.rawValue == "words and embedding")
    #expect(consensus.dissent == ["Draft 3"])
    #expect(consensus.weightsText.hasPrefix("Draft 1 0."))
    #expect(Consensus(of: inputs, meanings: matrix([900, 900, 900])).dissent.isEmpty)
    #expect(Consensus(of: inputs, meanings: matrix([0, 0, 0])).dissent.isEmpty)
  }

  @Test(
    "weights are written with two digits",
    arguments: [(50, "0.05"), (1_000, "1.00"), (996, "1.00"), (504, "0.50"), (0, "0.00")])
  func weights(_ weight: Int, _ text: String) throws {
    let inputs = [weight, 500].map {
      TaskOrder.NamedInput(name: "A", text: "x", weightMilli: $0)
    }
    #expect(try #require(Consensus(weighed: inputs)).weightsText == "A \(text), A 0.50")
  }
}

@Suite("Requests to an embedding model about drafts")
struct ConsensusQuestionTests {
  private func inputs(_ question: ConsensusQuestion) throws -> [String] {
    let object = try JSONSerialization.jsonObject(with: Data(question.body)) as? [String: Any]
    #expect(object?.keys.sorted() == ["input"])
    return try #require(object?["input"] as? [String])
  }

  @Test("one request has all texts, and some that have nothing to do with them")
  func body() throws {
    let question = try #require(ConsensusQuestion(["One.", "Two.", "Three."]))
    #expect(try inputs(question) == ["One.", "Two.", "Three."] + VectorLikeness.unrelated)
  }

  @Test("of a long text the beginning and the end go in, in pieces that a small model reads")
  func long() throws {
    let words = (0..<2_000).map { "wörd\($0)" }
    let question = try #require(ConsensusQuestion([words.joined(separator: " "), "Short."]))
    let pieces = try inputs(question)
    #expect(pieces.count == 4 + 1 + VectorLikeness.unrelated.count)
    #expect(pieces.allSatisfy { $0.utf8.count <= 1_000 })
    #expect(pieces[0].hasPrefix("wörd0 wörd1 ") && pieces[3].hasSuffix(" wörd1999"))
    let known = Set(words)
    #expect(
      pieces.prefix(4).joined(separator: " ").split(separator: " ").allSatisfy {
        known.contains(String($0))
      })
    // A text without spaces is cut between characters.
    let one = try #require(ConsensusQuestion([String(repeating: "ä", count: 900), "Short."]))
    #expect(try inputs(one).prefix(2).map(\.utf8.count) == [1_000, 800])
  }

  @Test("a request has at most 32 texts; more drafts than fit are not embedded")
  func many() throws {
    let long = String(repeating: "many words ", count: 1_000)
    for count in 2...28 {
      let question = try #require(ConsensusQuestion([String](repeating: long, count: count)))
      #expect(try inputs(question).count <= 32)
    }
    #expect(ConsensusQuestion([String](repeating: long, count: 29)) == nil)
    #expect(ConsensusQuestion([long]) == nil)
    #expect(ConsensusQuestion(["text", " \n"]) == nil)
  }

  @Test("vectors are taken by their index, and half an answer is none")
  func answer() throws {
    let question = try #require(ConsensusQuestion(["One.", "Two."]))
    func answer(_ vectors: [(Int, String)]) -> [UInt8] {
      let data = vectors.map { #"{"index":\#($0.0),"embedding":\#($0.1)}"# }
      return Array(#"{"data":[\#(data.joined(separator: ","))]}"#.utf8)
    }
    let rest = (2...5).map { ($0, "[0,0,1]") }
    let whole = [(1, "[1,0,0]"), (0, "[4,3,0]")] + rest
    #expect(question.meanings(in: answer(whole)) == [[1_000, 800], [800, 1_000]])
    #expect(question.meanings(in: answer(Array(whole.dropLast()))) == nil)
    #expect(question.meanings(in: answer([(0, "[1,0,0]"), (0, "[1,0,0]")] + rest)) == nil)
    #expect(question.meanings(in: answer([(0, "[1,0]"), (1, "[1,0,0]")] + rest)) == nil)
    #expect(question.meanings(in: answer([(0, "\"AAAA\""), (1, "[1,0,0]")] + rest)) == nil)
    #expect(question.meanings(in: Array("{}".utf8)) == nil)
  }
}
