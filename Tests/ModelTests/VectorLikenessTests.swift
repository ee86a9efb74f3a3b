import Testing

@testable import Text

@Suite("Likeness of texts by their embeddings")
struct VectorLikenessTests {
  /// Unrelated texts under a model that places them at right angles.
  static let apart = [[0.0, 0, 1, 0], [0, 0, 0, 1]]

  @Test(
    "directions are compared, lengths are not",
    arguments: [
      (a: [1.0, 0, 0, 0], b: [1.0, 0, 0, 0], milli: 1_000),
      (a: [1, 0, 0, 0], b: [7, 0, 0, 0], milli: 1_000),
      (a: [1, 0, 0, 0], b: [1, 1, 0, 0], milli: 707),
      (a: [3, 4, 0, 0], b: [4, 3, 0, 0], milli: 960),
      (a: [1, 0, 0, 0], b: [0, 1, 0, 0], milli: 0),
      // A negative cosine counts as zero.
      (a: [1, 0, 0, 0], b: [-1, 0, 0, 0], milli: 0),
    ])
  func cosines(_ a: [Double], _ b: [Double], milli: Int) throws {
    let matrix = try #require(VectorLikeness.matrix(of: [a, b], unrelated: Self.apart))
    #expect(matrix == [[1_000, milli], [milli, 1_000]])
  }

  @Test("a model that places everything near together is read as one that does not")
  func floors() throws {
    // Adds a component that is common to all vectors, so that unrelated vectors are similar, too.
    func shifted(_ vector: [Double]) -> [Double] { vector + [2] }
    let texts = [[1.0, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 1, 0, 0]]
    let plain = try #require(VectorLikeness.matrix(of: texts, unrelated: Self.apart))
    #expect(plain[0] == [1_000, 800, 0] && plain[1][2] == 600)
    let near = try #require(
      VectorLikeness.matrix(of: texts.map(shifted), unrelated: Self.apart.map(shifted)))
    #expect(near == plain)
  }

  @Test("texts that cannot be compared are reported as such")
  func nothing() {
    let one = [1.0, 0, 0, 0]
    #expect(VectorLikeness.matrix(of: [one, [1, 0]], unrelated: Self.apart) == nil)
    #expect(VectorLikeness.matrix(of: [one, [0, 0, 0, 0]], unrelated: Self.apart) == nil)
    #expect(VectorLikeness.matrix(of: [one, []], unrelated: Self.apart) == nil)
    #expect(VectorLikeness.matrix(of: [one, [.nan, 0, 0, 0]], unrelated: Self.apart) == nil)
    #expect(VectorLikeness.matrix(of: [one, [.infinity, 0, 0, 0]], unrelated: Self.apart) == nil)
    // This model returns the same vector for every text.
    #expect(VectorLikeness.matrix(of: [one, one], unrelated: [one, one]) == nil)
  }

  @Test("the pieces of a text count alike, whatever their lengths")
  func pieces() throws {
    let mean = try #require(VectorLikeness.mean(of: [[2, 0], [0, 9]]))
    #expect(mean == [1, 1])
    #expect(VectorLikeness.mean(of: [[1, 0], [1]]) == nil)
    #expect(VectorLikeness.mean(of: []) == nil)
  }

  // MARK: - With words

  static let cheap = "The old bridge over the river was closed for repairs in March of that year."
  static let reworded =
    "Since spring nobody has been able to cross the water there, as they mend it."
  static let other = "The old bridge over the river was praised for beauty in March of that year."

  @Test("similar words with another meaning have less weight once vectors are known")
  func dissent() {
    let texts = [Self.cheap, Self.reworded, Self.other]
    let words = Agreement.weights(of: texts)
    #expect(words[2] > words[1], "by words the third agrees and the second does not")
    let meanings = [[1_000, 900, 250], [900, 1_000, 200], [250, 200, 1_000]]
    let mixed = Agreement.weights(in: Agreement.matrix(of: texts, meanings: meanings))
    #expect(mixed[2] < mixed[0] && mixed[2] < mixed[1])
    #expect(mixed[2] >= Agreement.leastWeightMilli, "it is weighed, not thrown away")
  }

  @Test("numbers, negations and short answers decide, however near the vectors are")
  func decisive() {
    let close = [[1_000, 980], [980, 1_000]]
    func mixed(_ a: String, _ b: String) -> Int {
      Agreement.matrix(of: [a, b], meanings: close)[0][1]
    }
    #expect(mixed("42", "43") == 0)
    #expect(mixed("Yes.", "yes") == 1_000)
    let sum = "When all the bills of the year are added up, what has to be paid is 4,200 euros."
    #expect(mixed(sum, sum.replacing("4,200", with: "4,300")) < Agreement.sameMeaningMilli)
    let denied = Self.cheap.replacing("was closed", with: "was never closed")
    #expect(mixed(Self.cheap, denied) < Agreement.sameMeaningMilli)
    #expect(mixed(Self.cheap + " Answer: A", Self.reworded + " Answer: B") < 500)
    #expect(mixed(Self.cheap, Self.reworded) > 700)
  }

  @Test("without vectors nothing changes")
  func without() {
    let texts = [Self.cheap, Self.reworded, Self.other]
    #expect(Agreement.matrix(of: texts, meanings: nil) == Agreement.matrix(of: texts))
  }
}
