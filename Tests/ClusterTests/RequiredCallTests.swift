import AsyncHTTPClient
import ClusterModel
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

/// A host that never calls a tool. It writes the call as JSON only if the client asks it to obey.
private enum ProseHost {
  static let prose = "It rains in Oslo."

  static func started() async throws -> FaultyHost {
    try await FaultyHost.started(
      FaultyHostConfiguration(
        models: ["faulty-model"],
        answer: .writer { question in
          let body = String(decoding: question.request.body, as: UTF8.self)
          let isCall = body.contains(#""name":"call""#) && body.contains("Obey me")
          return FaultyHostReply(
            isCall ? #"{"name":"weather","arguments":{"city":"Oslo"}}"# : prose)
        }, dialect: .openai))
  }
}

extension ProcessTests {
  @Suite(
    "A required tool call, from a host that answers with prose", .serialized,
    .cluster { try await RunningCluster.start(.faulty([ProseHost.started()])) })
  struct RequiredCallTests {
    /// `tutti/auto` answers requests with tools by one call, which the host judges.
    static let patterns = PatternName.allCases.filter { $0 != .auto }.map(\.rawValue)

    private static func post(
      _ cluster: RunningCluster, _ path: String, _ body: String
    ) async throws -> (status: Int, body: String) {
      var request = HTTPClientRequest(url: cluster.gateway + path)
      request.method = .POST
      request.headers.add(name: "content-type", value: "application/json")
      // The gateway closes the connection after an error in a stream. The client must not send its
      // next request there meanwhile.
      request.headers.add(name: "connection", value: "close")
      request.body = .bytes(ByteBuffer(string: body))
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(120))
      let answer = try await response.body.collect(upTo: 16 << 20)
      return (Int(response.status.code), String(buffer: answer))
    }

    private static func body(_ pattern: String, _ question: String, stream: Bool) -> String {
      """
      {"model":"\(pattern)","stream":\(stream),"tool_choice":"required",
      "messages":[{"role":"user","content":"\(question)"}],
      "tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object",
      "required":["city"],"properties":{"city":{"type":"string"}}}}}]}
      """
    }

    @Test("the answer of every pattern is the call, streamed and not", arguments: patterns)
    func called(pattern: String) async throws {
      let cluster = try RunningCluster.current()
      for stream in [true, false] {
        let (status, body) = try await Self.post(
          cluster, "/v1/chat/completions",
          Self.body(pattern, "Obey me: is it raining in Oslo?", stream: stream))
        #expect(status == 200, "\(body)")
        #expect(
          body.contains(#""tool_calls":[{"#) && body.contains(#""name":"weather""#), "\(body)")
        #expect(body.contains(#""finish_reason":"tool_calls""#), "\(body)")
        #expect(!body.contains(ProseHost.prose), "\(body)")
      }
    }

    @Test("without a call every pattern ends with an error, never with prose", arguments: patterns)
    func refused(pattern: String) async throws {
      let cluster = try RunningCluster.current()
      for stream in [true, false] {
        let (status, body) = try await Self.post(
          cluster, "/v1/chat/completions",
          Self.body(pattern, "Is it raining in Oslo?", stream: stream))
        #expect(status == (stream ? 200 : 502), "\(body)")
        #expect(body.contains("tool_choice") && body.contains(#""error""#), "\(body)")
        #expect(!body.contains(ProseHost.prose), "\(body)")
      }
    }

    @Test("a plan and a direct answer have figures before they run")
    func figures() async throws {
      let cluster = try RunningCluster.current()
      for model in ["tutti/ensemble", "tutti/maestro", "tutti/auto", "tutti/fast", "faulty-model"] {
        let (status, body) = try await Self.post(
          cluster, "/v1/plans",
          #"{"model":"\#(model)","messages":[{"role":"user","content":"Hello"}]}"#)
        #expect(status == 200, "\(body)")
        #expect(body.contains(#""figures":{"calls":{"least":"#), "\(body)")
        #expect(body.contains("costs: "), "\(body)")
      }
    }
  }
}
