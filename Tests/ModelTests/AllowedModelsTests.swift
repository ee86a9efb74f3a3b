import ClusterModel
import Limits
import Testing

@Suite("Allowed models of a plan")
struct AllowedModelsTests {
  @Test("no list admits every model, and a list only its own")
  func admits() {
    let models = AllowedModels(["a", "b"])
    #expect(models.admits("a") && !models.admits("c"))
    #expect(models.admitsAny(of: ["b", "c"]) && !models.admitsAny(of: ["c"]))
    #expect(!models.admitsAny(of: []))
    #expect(AllowedModels.all.admits("c") && AllowedModels.all.admitsAny(of: ["c"]))
    #expect(models.isLimited && !AllowedModels.all.isLimited)
  }

  @Test("a list is bounded and keeps models of both kinds")
  func bounded() {
    func names(_ prefix: String) -> [ModelID] { (0..<1_000).map { ModelID("\(prefix)-\($0)") } }
    let models = AllowedModels(chat: names("chat"), embedding: names("embed"))
    #expect(models.names.count == Limits.planModels.value)
    #expect(models.admits("chat-0") && models.admits("embed-0"))
    let few = AllowedModels(chat: names("chat"), embedding: [])
    #expect(few.names.count == Limits.planModels.value && few.admits("chat-255"))
  }
}
