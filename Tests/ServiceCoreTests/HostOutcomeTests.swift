import ClusterModel
import Foundation
import Testing

@testable import CommandLineCore

@Suite("Reports of commands about a host after its probe")
struct HostOutcomeTests {
  private static func host(_ state: String, _ more: String = "") throws -> HostDetails {
    try JSONDecoder().decode(
      HostDetails.self,
      from: Data(#"{"id":"gpu-1","url":"http://gpu","state":"\#(state)"\#(more)}"#.utf8))
  }

  @Test("a ready host is named with its models, and with the models that are left out")
  func ready() throws {
    let host = try Self.host(
      "ready", #","reason":"","models":[{"id":"qwen3:32b"},{"id":"bge-m3"}]"#)
    let outcome = HostOutcome(of: host, after: .added, waited: true)
    #expect(outcome.notes == ["host gpu-1 is ready: qwen3:32b, bge-m3"])
    #expect(outcome.failure == nil)
    let models = (1...10).map { #"{"id":"m\#($0)"}"# }.joined(separator: ",")
    let many = try Self.host("ready", #","reason":"3 are left out","models":[\#(models)]"#)
    #expect(
      HostOutcome(of: many, after: .probed, waited: true).notes == [
        "host gpu-1 is ready: m1, m2, m3, m4, m5, m6, m7, m8 and 2 more models (3 are left out)"
      ])
  }

  @Test("a host that is not ready is a failure to try later, with the reason and the next probe")
  func away() throws {
    let host = try Self.host("unreachable", #","reason":"connection refused","next_probe_ms":1900"#)
    func message(_ action: HostOutcome.Action) -> String? {
      let outcome = HostOutcome(of: host, after: action, waited: true)
      #expect(outcome.notes.isEmpty && outcome.failure?.status == .tryLater)
      return outcome.failure?.message
    }
    #expect(
      message(.added)
        == "host gpu-1 is added, but not ready: connection refused; probed again in 2 s")
    #expect(message(.resumed)?.hasPrefix("host gpu-1 is resumed, but not ready: ") == true)
    #expect(message(.probed)?.hasPrefix("host gpu-1 is not ready: ") == true)
    let suspended = try Self.host("suspended", #","reason":"drained by an admin""#)
    #expect(
      HostOutcome(of: suspended, after: .probed, waited: true).failure?.message
        == "host gpu-1 is not ready: drained by an admin; `tutti hosts resume gpu-1` puts it back "
        + "into service")
    let unknown = try Self.host("unknown", #","reason":"","next_probe_ms":null"#)
    #expect(
      HostOutcome(of: unknown, after: .added, waited: true).failure?.message
        == "host gpu-1 is added, but not ready: its probe has not ended; `tutti hosts probe gpu-1` "
        + "waits for it")
  }

  @Test("without a wait, no state of the host is a failure")
  func unwaited() throws {
    let outcome = HostOutcome(of: try Self.host("unknown"), after: .added, waited: false)
    #expect(outcome.failure == nil)
    #expect(outcome.notes.count == 1 && outcome.notes[0].contains("its probe has not ended"))
  }

  @Test("a host with a credential and without a price is named with the command that states it")
  func price() throws {
    let credential =
      #","credential":"env:TUTTI_CREDENTIAL_A","price_input":null,"price_output":null"#
    for state in ["ready", "unreachable"] {
      let outcome = HostOutcome(
        of: try Self.host(state, credential), after: .added, waited: true)
      #expect(outcome.notes.last?.contains("tutti hosts set gpu-1 --price IN/OUT") == true)
    }
    let stated = credential.replacing("null", with: #""0""#)
    let outcome = HostOutcome(of: try Self.host("ready", stated), after: .added, waited: true)
    #expect(outcome.notes.count == 1)
  }
}

@Suite("Aliases of a new host")
struct HostAliasTests {
  private static func host(_ models: [String]) throws -> HostDetails {
    let list = models.map { #"{"id":"\#($0)"}"# }.joined(separator: ",")
    return try JSONDecoder().decode(
      HostDetails.self,
      from: Data(#"{"id":"a","url":"http://a","state":"ready","models":[\#(list)]}"#.utf8))
  }

  @Test("an alias stands for the model that it names, or for the only chat model of the host")
  func models() throws {
    let two = try Self.host(["qwen3:8b", "nomic-embed-text"])
    #expect(try HostAlias("fast").model(of: two) == "qwen3:8b")
    #expect(try HostAlias("fast=llama").model(of: two) == "llama")
    #expect(try HostAlias("fast=a=b").model(of: two) == "a=b")
    // The host may list the alias already.
    #expect(try HostAlias("fast").model(of: Self.host(["qwen3:8b", "fast"])) == "qwen3:8b")
    // Another alias of the same model is no second model.
    let aliased = try JSONDecoder().decode(
      HostDetails.self,
      from: Data(
        (#"{"id":"a","url":"http://a","state":"ready","models":["#
          + #"{"id":"big","alias_of":"qwen3:8b"},{"id":"qwen3:8b"}]}"#).utf8))
    #expect(try HostAlias("fast").model(of: aliased) == "qwen3:8b")
    for (models, status) in [(["a", "b"], .failed), ([], .tryLater)]
      as [([String], ClusterModel.ExitStatus)]
    {
      let alias = try HostAlias("fast")
      let host = try Self.host(models)
      let failure = #expect(throws: ProcessFailure.self) { try alias.model(of: host) }
      #expect(failure?.status == status)
      #expect(failure?.message.contains("tutti models alias fast MODEL") == true)
    }
  }

  @Test("a text that is no alias is refused", arguments: ["", "=m", "a=", "a\u{7}", "a=a"])
  func mistakes(_ text: String) {
    let failure = #expect(throws: ProcessFailure.self) { try HostAlias(text) }
    #expect(failure?.status == .usage && failure?.message.hasPrefix("--alias: ") == true)
  }

  @Test("models for which the alias stands already stay, and are preferred")
  func body() throws {
    #expect(HostAlias.body(of: "b", after: ["a", "b"]) == nil)
    let body = try #require(HostAlias.body(of: "b", after: ["a"]))
    #expect(String(decoding: body, as: UTF8.self) == #"{"stands_for":["a","b"]}"#)
  }
}
