import ClusterModel
import GatewayCore

/// The bytes of a text.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The text of some bytes.
func text(_ bytes: some Sequence<UInt8>) -> String {
  String(decoding: Array(bytes), as: UTF8.self)
}

/// A member of a request: one message.
let hello = #""messages":[{"role":"user","content":"hi"}]"#

func parse(
  _ json: String, _ endpoint: InferenceEndpoint = .chatCompletions
) throws(Failure) -> ClientRequest {
  try ClientRequest(parsing: bytes(json), endpoint: endpoint)
}

/// The reason why a request is refused; `nil` means that it is not.
func refused(
  _ json: String, _ endpoint: InferenceEndpoint = .chatCompletions
) -> Failure? {
  do throws(Failure) {
    _ = try parse(json, endpoint)
    return nil
  } catch {
    return error
  }
}

private func host(_ id: String, _ models: [String], _ state: HostState = .ready) -> Host {
  Host(
    id: HostID(id), url: "http://\(id)", state: state,
    models: models.map { ModelOffer(id: ModelID($0)) })
}

/// Hosts with some models: two are ready and one is unreachable.
let gatewayTable = HostTable(
  epoch: 1, revision: 1,
  hosts: [
    host("a", ["llama-3.1-8b", "nomic-embed-text"]), host("b", ["llama-3.1-8b"]),
    host("c", ["qwen2.5-7b"], .unreachable),
  ])
