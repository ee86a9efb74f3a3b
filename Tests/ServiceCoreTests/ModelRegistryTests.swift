import ClusterModel
import ClusterTesting
import Limits
import RegistryCore
import Testing

@Suite("Records of models")
struct ModelRegistryTests {
  private var models = ModelRegistry()
  private var lastRevision: Int64 = 0

  @discardableResult
  private mutating func patch(
    _ id: ModelID, _ patch: ModelPatch, expected: Set<Int64>? = nil
  ) throws(Failure) -> ModelRegistry.Change {
    let change = try models.patch(id, patch, expected: expected)
    lastRevision += 1
    models.apply(change, revision: lastRevision)
    return change
  }

  private func code(_ id: ModelID, _ patch: ModelPatch) -> Failure? {
    do throws(Failure) {
      _ = try models.patch(id, patch)
      return nil
    } catch {
      return error
    }
  }

  @Test("a change makes the record, and later ones keep what they do not name")
  mutating func patch() throws {
    try patch("m", ModelPatch(hosts: ["a"], isHidden: true, kind: .chat, contextTokens: 8))
    try patch("m", ModelPatch(hostPools: ["eu"], kind: .some(nil)))
    let record = try #require(models["m"]?.record)
    #expect(record.hosts == ["a"] && record.hostPools == ["eu"])
    #expect(record.isHidden && record.kind == nil && record.contextTokens == 8)
    #expect(try models.patch("m", ModelPatch(isHidden: true)).isEmpty)
    #expect(models["m"]?.revision == 2)
  }

  @Test("a record keeps its spelling if a change names it in another Unicode normalisation")
  mutating func spelling() throws {
    let composed = ModelID("caf\u{E9}")
    let decomposed = ModelID("cafe\u{301}")
    try patch(composed, ModelPatch(isHidden: true))
    let change = try models.patch(decomposed, ModelPatch(isHidden: false))
    let removal = try models.remove(decomposed)
    for id in [change.id, removal.id] {
      #expect(Array(id.name.utf8) == Array(composed.name.utf8))
    }
    #expect(change.revision == 1 && removal.revision == 1)
  }

  @Test("of two admins with one revision, the second is refused; 0 means no record")
  mutating func conflict() throws {
    try patch("m", ModelPatch(isHidden: true), expected: [ModelRegistry.absent])
    for expected in [ModelRegistry.absent, 7] {
      #expect(
        failureCode { () throws(Failure) in
          _ = try models.patch("m", ModelPatch(isHidden: false), expected: [expected])
        } == .conflict)
      #expect(
        failureCode { () throws(Failure) in _ = try models.remove("m", expected: [expected]) }
          == .conflict)
    }
    let removal = try models.remove("m", expected: [1])
    models.apply(removal, revision: 2)
    #expect(models["m"] == nil)
    #expect(
      failureCode { () throws(Failure) in _ = try models.remove("m") } == .modelNotFound)
  }

  @Test("an alias means models of hosts, never another alias")
  mutating func aliases() throws {
    try patch("alias", ModelPatch(standsFor: ["m", "n"]))
    #expect(models.aliases == ["alias": ["m", "n"]])
    for (id, target) in [("other", "alias"), ("self", "self"), ("m", "x")] {
      let failure = code(ModelID(id), ModelPatch(standsFor: [ModelID(target)]))
      #expect(failure?.code == .invalidRequest && failure?.param == "stands_for", "\(id)")
    }
    try patch("alias", ModelPatch(standsFor: []))
    #expect(models.aliases.isEmpty)
    #expect(code("m", ModelPatch(standsFor: ["x"])) == nil)
  }

  @Test("bad values are refused with the member")
  func badValues() {
    let long = String(repeating: "x", count: Limits.modelNameBytes.value + 1)
    for (patch, member) in [
      (ModelPatch(standsFor: [ModelID(long)]), "stands_for"),
      (ModelPatch(standsFor: ["tutti/auto"]), "stands_for"),
      (ModelPatch(standsFor: ["a\u{0}b"]), "stands_for"),
      (ModelPatch(standsFor: ["a", "a"]), "stands_for"),
      (
        ModelPatch(
          standsFor: (0...Limits.modelAliasTargets.value).map { ModelID("m\($0)") }), "stands_for"
      ),
      (ModelPatch(hosts: ["a/b"]), "hosts"),
      (ModelPatch(hostPools: ["EU"]), "host_pools"),
      (ModelPatch(hostPools: [""]), "host_pools"),
      (ModelPatch(contextTokens: 0), "context_tokens"),
      (ModelPatch(contextTokens: -1), "context_tokens"),
      (ModelPatch(minimumVersions: ["vLLM"]), "minimum_versions"),
    ] {
      let failure = code("m", patch)
      #expect(failure?.code == .invalidRequest && failure?.param == member, "\(member)")
    }
    for id in ["", "tutti/fast", "a\nb", long] {
      #expect(code(ModelID(id), ModelPatch())?.code == .invalidRequest)
    }
  }

  @Test("the number of records is limited, and present ones can still be changed")
  mutating func capacity() throws {
    models = ModelRegistry(capacity: 1)
    try patch("m", ModelPatch(isHidden: true))
    #expect(code("n", ModelPatch())?.code == .overloaded)
    #expect(code("m", ModelPatch(isHidden: false)) == nil)
  }
}
