import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import NIOCore
import RegistryCore
import Testing

@testable import RegistryService

@Suite("Bodies of requests about keys")
struct KeyFieldsTests {
  private func fields(_ json: String) async throws -> KeyFields {
    try await KeyFields(
      Request(
        head: HTTPRequest(method: .post, scheme: "http", authority: "t", path: "/"),
        body: RequestBody(buffer: ByteBuffer(string: json))))
  }

  @Test("all members of a key are read")
  func complete() async throws {
    let settings = try await fields(
      """
      {"name": "ci", "account": "acme/research", "scopes": ["chat", "admin:read"],
       "permissions": {"models": ["a"], "patterns": ["tutti/auto"], "data_policies": ["local"],
         "host_pools": null},
       "limits": {"requests_per_minute": 5, "tokens_per_day": null}, "expires_at_ms": 9}
      """
    ).settings()
    #expect(
      settings
        == KeyPatch(
          name: "ci", account: AccountPath("acme/research"), scopes: [.chat, .adminRead],
          models: [ModelID("a")], patterns: [.auto], dataPolicies: [.local], hostPools: [],
          limits: [.requestsPerMinute: 5, .tokensPerDay: nil], expiry: .at(9)))
    #expect(try await fields("").settings() == KeyPatch())
    #expect(try await fields(#"{"expires_at_ms": null}"#).settings().expiry == .never)
  }

  @Test(
    "a member that is unknown or of the wrong type is refused with its name",
    arguments: [
      (#"{"names": 1}"#, "names"), (#"{"name": 1}"#, "name"), (#"{"account": "A"}"#, "account"),
      (#"{"scopes": "chat"}"#, "scopes"), (#"{"scopes": ["all"]}"#, "scopes"),
      (#"{"permissions": []}"#, "permissions"),
      (#"{"permissions": {"model": ["a"]}}"#, "permissions.model"),
      (#"{"permissions": {"models": "a"}}"#, "permissions.models"),
      (#"{"permissions": {"models": ["a", 1]}}"#, "permissions.models"),
      (#"{"permissions": {"patterns": ["nobody"]}}"#, "permissions.patterns"),
      (#"{"permissions": {"host_pools": ["eu", "GPU"]}}"#, "permissions.host_pools"),
      (#"{"limits": {"requests": 1}}"#, "limits.requests"),
      (#"{"limits": {"requests_per_day": 0}}"#, "limits.requests_per_day"),
      (#"{"limits": {"requests_per_day": 1.5}}"#, "limits.requests_per_day"),
      (#"{"limits": {"requests_per_day": 1e30}}"#, "limits.requests_per_day"),
      (#"{"expires_at_ms": "tomorrow"}"#, "expires_at_ms"),
    ])
  func wrong(json: String, param: String) async throws {
    let error = await #expect(throws: AdminFailure.self) { try await fields(json).settings() }
    let failure = try #require(error).failure
    #expect(failure.param == param && failure.code == .invalidRequest, "\(failure)")
    #expect(failure.message.contains(param), "\(failure)")
  }

  @Test("a rotation has a grace period of a day unless the body names another")
  func grace() async throws {
    #expect(try await fields("").grace() == 86_400_000)
    #expect(try await fields(#"{"grace_ms": 0}"#).grace() == 0)
    await #expect(throws: AdminFailure.self) { try await fields(#"{"grace_ms": -1}"#).grace() }
    await #expect(throws: AdminFailure.self) { try await fields(#"{"grace": 1}"#).grace() }
  }
}
