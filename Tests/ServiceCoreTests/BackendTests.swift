import ClusterModel
import Foundation
import RegistryCore
import Testing

@Suite("Recognition of a host's backend")
struct BackendTests {
  private func listing(_ json: String) throws -> ModelListing {
    try ModelListing(parsing: Array(json.utf8))
  }

  @Test(
    "a list of models is known by who owns them, by its shape or by the server's name",
    arguments: [
      (
        #"{"object":"list","data":[{"id":"m","object":"model","owned_by":"llamacpp"}]}"#, "",
        Backend.llamaCpp
      ),
      (#"{"data":[{"id":"m","object":"model","owned_by":"me"}]}"#, "llama.cpp", .llamaCpp),
      (
        #"{"data":[{"id":"m","object":"model","owned_by":"vllm","max_model_len":4096}]}"#,
        "uvicorn", .vLLM
      ),
      (#"{"data":[{"id":"m","object":"model","owned_by":"organization_owner"}]}"#, "", .lmStudio),
      (
        #"{"data":[{"id":"m","object":"model","owned_by":"transformers-runtime"}]}"#, "uvicorn",
        .llamaFarm
      ),
      (
        #"{"data":[{"type":"model","id":"m","display_name":"M"}],"has_more":false}"#, "cloudflare",
        .anthropic
      ),
      (#"{"object":"list","data":[{"id":"m","object":"model","owned_by":"library"}]}"#, "", .other),
      (#"{"data":[]}"#, "", .other),
    ])
  func families(_ json: String, _ server: String, _ expected: Backend) throws {
    #expect(try listing(json).backend(server: server) == expected)
  }

  @Test("each backend has its dialect and its way of resuming")
  func traits() {
    #expect(Backend.vLLM.resume == .continueFinalMessage)
    #expect(Backend.llamaCpp.resume == .trailingAssistant)
    #expect(Backend.other.resume == .instruct && Backend.other.dialect == .openai)
    #expect(Backend.ollama.dialect == .ollama && Backend.ollama.resume == .trailingAssistant)
    #expect(Backend.anthropic.dialect == .anthropic)
  }

  @Test("models, slots, context and versions are read if a server reports them")
  func details() throws {
    let vLLM = try listing(#"{"data":[{"id":"m","owned_by":"vllm","max_model_len":4096}]}"#)
    #expect(vLLM.offers(contextTokens: 7).map(\.contextTokens) == [4_096])
    let tags = try listing(#"{"models":[{"name":"llama3:8b","size":1}]}"#)
    #expect(tags.offers(contextTokens: nil) == [ModelOffer(id: "llama3:8b")])
    let props = try JSONDecoder().decode(
      LlamaProps.self,
      from: Data(
        #"{"total_slots":2,"build_info":"b1","default_generation_settings":{"n_ctx":4096}}"#.utf8))
    #expect(props.totalSlots == 2 && props.contextTokens == 4_096 && props.buildInfo == "b1")
  }
}
