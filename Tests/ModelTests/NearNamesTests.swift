import ClusterModel
import Limits
import Testing
import Text

@Suite("Suggestions for a misspelt name")
struct NearNamesTests {
  @Test("near names are found by typing errors and by parts, not by chance")
  func near() {
    #expect(NearNames.near("lama", among: ["llama", "qwen", "phi"]) == ["llama"])
    #expect(NearNames.near("llama", among: ["llama-3", "x"]) == ["llama-3"])
    #expect(NearNames.near("abc", among: ["xyz"]).isEmpty)
    #expect(NearNames.near("", among: ["llama"]).isEmpty)
    #expect(NearNames.near("m1", among: (0..<9).map { "m\($0)" }).count == 3)
  }

  @Test(
    "one flag is suggested for one that does not exist",
    arguments: [
      ("--prot", "--port"), ("--worker", "--workers"), ("--race-mode", "--race"), ("--zzz", nil),
      ("--opne", "--open"),
    ])
  func flags(_ name: String, _ expected: String?) {
    #expect(
      NearNames.near(name, among: ["--port", "--workers", "--open", "--race"]).first == expected)
  }

  @Test("a typing error is nearer than a missing half")
  func ranks() {
    let flags = NearNames.near("--race-mod", among: ["--race", "--race-mode"])
    #expect(flags == ["--race-mode", "--race"])
    let models = NearNames.near("qwen", among: ["qwen3-8b", "qwem", "qwen3"])
    #expect(models == ["qwem", "qwen3", "qwen3-8b"])
  }

  @Test("two exchanged letters are one error")
  func exchanged() {
    var work = 0
    func distance(_ left: String, _ right: String, atMost limit: Int = 4) -> Int? {
      NearNames.distance(Array(left), Array(right), atMost: limit, work: &work)
    }
    #expect(distance("form", "from") == 1)
    #expect(distance("form", "far") == 2)
    #expect(distance("", "abc") == 3)
    #expect(work == 4 * 4 + 4 * 3)
    #expect(distance("form", "far", atMost: 2) == 2)
    #expect(distance("form", "far", atMost: 1) == nil)
    #expect(distance("abc", "", atMost: 2) == nil)
    #expect(distance("abc", "abc", atMost: 0) == 0)
  }

  @Test("a distance up to the limit is that of all pairs of letters", arguments: 0..<20)
  func limited(seed: Int) {
    var rng = SplitMix64(seed: UInt64(seed))
    func word() -> [Int] {
      (0..<Int.random(in: 0...9, using: &rng)).map { _ in Int.random(in: 0...2, using: &rng) }
    }
    for _ in 0..<200 {
      let (left, right, limit) = (word(), word(), Int.random(in: 0...6, using: &rng))
      var work = 0
      let whole = Self.distance(left, right)
      #expect(
        NearNames.distance(left, right, atMost: limit, work: &work)
          == (whole <= limit ? whole : nil), "\(left) \(right) \(limit)")
    }
  }

  /// Edit distance from the complete table. An exchange of two neighbours is one step.
  private static func distance(_ left: [Int], _ right: [Int]) -> Int {
    var rows = [Array(0...right.count)]
    for i in left.indices {
      var row = [i + 1]
      for j in right.indices {
        var cost = min(
          rows[i][j] + (left[i] == right[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
          cost = min(cost, rows[i - 1][j - 1] + 1)
        }
        row.append(cost)
      }
      rows.append(row)
    }
    return rows[left.count][right.count]
  }

  @Test("few of many names are examined, and few of these are compared")
  func many() {
    func work(_ count: Int, _ known: String) -> Int {
      var work = 0
      let names = (0..<count).lazy.map { "\(known)\($0)" }
      _ = NearNames.near(String(repeating: "y", count: 200), among: names, work: &work)
      return work
    }
    let long = String(repeating: "x", count: 200)
    #expect(work(1_000_000, long) == work(Limits.comparedNames.value, long))
    #expect(work(1_000_000, long) <= 64 * 128 * 87)
  }
}
