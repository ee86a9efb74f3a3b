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
    #expect(NearNames.distance(Array("form"), Array("from"), work: &work) == 1)
    #expect(NearNames.distance(Array("form"), Array("far"), work: &work) == 2)
    #expect(NearNames.distance(Array(""), Array("abc"), work: &work) == 3)
    #expect(work == 4 * 4 + 4 * 3)
  }
}
