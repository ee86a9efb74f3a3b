import ClusterModel
import Foundation
import HTTPTypes
import Store
import Testing

@testable import RegistryService

@Suite("Hosts in the admin API")
struct HostAPITests {
  private static let gpu = #"{"url": "http://127.0.0.1:9", "id": "a", "tags": ["gpu", "eu"]}"#

  private static func member(_ name: String, of text: String) throws -> Any? {
    let object = try JSONSerialization.jsonObject(with: Data(text.utf8))
    return try #require(object as? [String: Any])[name]
  }

  private static func ids(_ answer: TestRegistry.Answer) throws -> [String] {
    let hosts = try #require(try member("data", of: answer.text) as? [[String: Any]])
    return hosts.compactMap { $0["id"] as? String }
  }

  @Test("tags and region are set, shown and removed")
  func tags() async throws {
    try await TestRegistry.run { registry in
      let added = try await registry.send(.post, "/hosts", Self.gpu)
      #expect(added.status == 201 && added.text.contains(#""tags":["eu","gpu"]"#))
      #expect(added.text.contains(#""region":null"#))
      let changed = try await registry.send(.patch, "/hosts/a", #"{"region": "fra-1"}"#)
      #expect(changed.text.contains(#""region":"fra-1""#) && changed.text.contains(#""gpu""#))
      let cleared = try await registry.send(
        .patch, "/hosts/a", #"{"region": null, "tags": null}"#)
      #expect(cleared.text.contains(#""region":null"#) && cleared.text.contains(#""tags":[]"#))
      for (body, param) in [
        (#"{"tags": ["GPU"]}"#, "tags"), (#"{"tags": "gpu"}"#, "tags"),
        (#"{"region": 1}"#, "region"),
        (#"{"region": ""}"#, "region"), (#"{"pool": "gpu"}"#, "pool"),
      ] {
        let refused = try await registry.send(.patch, "/hosts/a", body)
        #expect(refused.status == 400 && refused.text.contains(#""param":"\#(param)""#), "\(body)")
      }
    }
  }

  @Test("a host shows what an admin has set next to what applies")
  func configured() async throws {
    try await TestRegistry.run { registry in
      let added = try await registry.send(.post, "/hosts", Self.gpu)
      #expect(
        added.text.contains(
          #""configured":{"dialect":null,"models":[],"resume":null,"slots":null}"#))
      #expect(added.text.contains(#""dialect":"openai""#))
      let body = #"{"dialect": "ollama", "slots": 4, "models": ["b", "a"]}"#
      let set = #""configured":{"dialect":"ollama","models":["b","a"],"resume":null,"slots":4}"#
      let changed = try await registry.send(.patch, "/hosts/a", body)
      #expect(changed.text.contains(set))
      #expect(try await registry.send(.get, "/hosts").text.contains(set))
      let learned = try await registry.send(
        .patch, "/hosts/a", #"{"dialect": "auto", "models": null, "slots": null}"#)
      #expect(
        learned.text.contains(
          #""configured":{"dialect":null,"models":[],"resume":null,"slots":null}"#))
    }
  }

  @Test("a price is two amounts of credits, or not stated")
  func prices() async throws {
    try await TestRegistry.run { registry in
      let body =
        #"{"url": "http://127.0.0.1:9", "id": "a", "price_input": "0", "price_output": "2.50"}"#
      let added = try await registry.send(.post, "/hosts", body)
      #expect(added.status == 201, "\(added)")
      #expect(added.text.contains(#""price_input":"0""#))
      #expect(added.text.contains(#""price_output":"2.5""#))
      let changed = try await registry.send(.patch, "/hosts/a", #"{"price_input": "0.15"}"#)
      #expect(changed.text.contains(#""price_input":"0.15""#))
      #expect(changed.text.contains(#""price_output":"2.5""#))
      for (method, path, body, param) in [
        (.patch, "/hosts/a", #"{"price_input": null}"#, "price_input"),
        (.patch, "/hosts/a", #"{"price_output": 5}"#, "price_output"),
        (.patch, "/hosts/a", #"{"price_output": "1e3"}"#, "price_output"),
        (.patch, "/hosts/a", #"{"price_output": "1000000000.1"}"#, "price_output"),
        (.patch, "/hosts/a", #"{"price_per_million": 5}"#, "price_per_million"),
        (.post, "/hosts", #"{"url": "http://127.0.0.1:11", "price_input": "1"}"#, "price_output"),
      ] as [(HTTPRequest.Method, String, String, String)] {
        let refused = try await registry.send(method, path, body)
        #expect(refused.status == 400 && refused.text.contains(#""param":"\#(param)""#), "\(body)")
      }
      let former = try await registry.send(.patch, "/hosts/a", #"{"price_per_million": 5}"#)
      #expect(former.text.contains("replaced by price_input and price_output"), "\(former)")
      let cleared = try await registry.send(
        .patch, "/hosts/a", #"{"price_input": null, "price_output": null}"#)
      #expect(cleared.text.contains(#""price_output":null"#), "\(cleared)")
      // Either a probe is under way, or the next one has a time.
      #expect(cleared.text.contains(#""next_probe_ms":"#), "\(cleared)")
    }
  }

  @Test("a change with another ETag than the host's is refused and changes nothing")
  func preconditions() async throws {
    try await TestRegistry.run { registry in
      let first = try #require(try await registry.send(.post, "/hosts", Self.gpu).tag)
      #expect(try await registry.send(.get, "/hosts/a").tag == first)
      let second = try #require(
        try await registry.send(.patch, "/hosts/a", #"{"region": "x"}"#, ifMatch: first).tag)
      #expect(second != first)
      for (method, path) in [
        (.patch, "/hosts/a"), (.delete, "/hosts/a"), (.post, "/hosts/a/suspend"),
        (.post, "/hosts/a/drain"), (.post, "/hosts/a/resume"),
      ] as [(HTTPRequest.Method, String)] {
        let refused = try await registry.send(
          method, path, #"{"region": "y"}"#, ifMatch: "\(first), \"other\"")
        #expect(refused.status == 412 && refused.text.contains(#""code":"conflict""#), "\(path)")
      }
      let host = try await registry.send(.get, "/hosts/a")
      #expect(host.tag == second && host.text.contains(#""region":"x""#))
      #expect(try await registry.send(.delete, "/hosts/none", ifMatch: first).status == 404)
      let any = try await registry.send(.patch, "/hosts/a", #"{"region": "z"}"#, ifMatch: "*")
      #expect(any.status == 200 && any.tag != nil)
      #expect(
        try await registry.send(.delete, "/hosts/a", ifMatch: any.tag).status == 200)
      #expect(try await registry.send(.get, "/hosts/a").status == 404)
    }
  }

  @Test("an ETag stays valid after a restart")
  func restart() async throws {
    let scratch = try TestRegistry.Scratch()
    let tag = try await TestRegistry.run(in: scratch) { registry in
      try await registry.send(.post, "/hosts", Self.gpu).tag
    }
    try await TestRegistry.run(in: scratch) { registry in
      let host = try await registry.send(.get, "/hosts/a")
      #expect(host.tag == tag && host.text.contains(#""tags":["eu","gpu"]"#))
    }
  }

  @Test("the audit log has each change of a host with author, before and after")
  func audit() async throws {
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/hosts", Self.gpu)
      let price = #"{"price_input": "0.15", "price_output": "5.0"}"#
      _ = try await registry.send(.patch, "/hosts/a", price)
      // The same value again is no change.
      _ = try await registry.send(.patch, "/hosts/a", price)
      _ = try await registry.send(.post, "/hosts/a/suspend")
      _ = try await registry.send(.post, "/hosts/a/drain")
      _ = try await registry.send(.post, "/hosts/a/resume")
      _ = try await registry.send(.delete, "/hosts/a")
      let records = try await registry.accounts.audit(AuditQuery(kind: "host", id: "a"))
        .reversed()
      #expect(records.allSatisfy { $0.author.name == "admin-token" })
      #expect(records.map { $0.before == nil } == [true, false, false, false, false, false])
      #expect(records.map { $0.after == nil } == [false, false, false, false, false, true])
      #expect(Array(records.dropLast().map(\.after)) == Array(records.dropFirst().map(\.before)))
      let afters = records.map { $0.after ?? "" }
      #expect(afters[0].contains(#""price_input":null,"price_output":null"#))
      #expect(afters[1].contains(#""price_input":"0.15","price_output":"5""#))
      #expect(afters[2].contains(#""suspended":true,"drained":false"#))
      #expect(afters[3].contains(#""suspended":true,"drained":true"#))
      #expect(afters[4].contains(#""suspended":false,"drained":false"#))
      let answer = try await registry.send(.get, "/audit?kind=host&limit=1")
      #expect(answer.status == 200 && answer.text.contains(#""after":null"#))
    }
  }

  @Test("hosts that the configuration adds at the start are in the audit log")
  func fromConfiguration() async throws {
    try await TestRegistry.run { registry in
      try await registry.shell.addConfigured(["http://127.0.0.1:9"])
      try await registry.shell.addConfigured(["http://127.0.0.1:9"])
      let records = try await registry.accounts.audit(AuditQuery(kind: "host"))
      #expect(records.map(\.author.name) == ["configuration"])
    }
  }

  @Test("a host of the configuration that cannot be stored is no mistake of the configuration")
  func configuredWithoutStore() async throws {
    let scratch = try TestRegistry.Scratch()
    try await TestRegistry.run(in: scratch) { registry in
      let wrong = await #expect(throws: ProcessFailure.self) {
        try await registry.shell.addConfigured(["nonsense"])
      }
      #expect(wrong?.status == .usage)
      try await TestRegistry.refuseChanges(of: scratch.path + "/registry.sqlite", to: "INSERT")
      let full = await #expect(throws: ProcessFailure.self) {
        try await registry.shell.addConfigured(["http://127.0.0.1:9"])
      }
      #expect(full?.status == .unavailable)
    }
  }

  @Test("a drained host answers when its last request has ended")
  func drain() async throws {
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/hosts", Self.gpu)
      let drained = try await registry.send(.post, "/hosts/a/drain?wait_ms=30000")
      #expect(drained.status == 200 && drained.text.contains(#""reason":"drained by an admin""#))
      #expect(drained.text.contains(#""state":"suspended""#))
      #expect(registry.shell.load(of: "a")?.inFlight ?? 0 == 0)
      // A second drain changes nothing, and its ETag is the same.
      let again = try await registry.send(.post, "/hosts/a/drain")
      #expect(again.tag == drained.tag)
      #expect(try await registry.send(.post, "/hosts/none/drain").status == 404)
      #expect(try await registry.send(.post, "/hosts/a/drain?wait_ms=x").status == 400)
      let resumed = try await registry.send(.post, "/hosts/a/resume")
      #expect(!resumed.text.contains("drained by an admin"))
    }
  }

  @Test("after a drain, the answer's ETag belongs to the settings that it shows")
  func drainAndChange() async throws {
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/hosts", Self.gpu)
      async let drain = registry.send(.post, "/hosts/a/drain?wait_ms=30000")
      var before = try await registry.send(.get, "/hosts/a")
      while !before.text.contains("drained by an admin") {
        await Task.yield()
        before = try await registry.send(.get, "/hosts/a")
      }
      let changed = try await registry.send(.patch, "/hosts/a", #"{"region": "x"}"#)
      let drained = try await drain
      let isChanged = drained.text.contains(#""region":"x""#)
      #expect(drained.tag == (isChanged ? changed.tag : before.tag))
    }
  }

  @Test("the list of hosts is filtered")
  func filters() async throws {
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/hosts", Self.gpu)
      _ = try await registry.send(.post, "/hosts", #"{"url": "http://127.0.0.1:11", "id": "b"}"#)
      _ = try await registry.send(.post, "/hosts/b/suspend")
      #expect(try Self.ids(try await registry.send(.get, "/hosts")) == ["a", "b"])
      #expect(try Self.ids(try await registry.send(.get, "/hosts?tag=gpu")) == ["a"])
      #expect(try Self.ids(try await registry.send(.get, "/hosts?state=suspended")) == ["b"])
      #expect(try Self.ids(try await registry.send(.get, "/hosts?model=m")) == [])
      let wrong = try await registry.send(.get, "/hosts?state=away")
      #expect(wrong.status == 400 && wrong.text.contains(#""param":"state""#))
    }
  }

  @Test("a change that cannot be stored is taken back in the audit log")
  func failedChange() async throws {
    let scratch = try TestRegistry.Scratch()
    try await TestRegistry.run(in: scratch) { registry in
      _ = try await registry.send(.post, "/hosts", Self.gpu)
      try await TestRegistry.refuseChanges(of: scratch.path + "/registry.sqlite")
      let refused = try await registry.send(.patch, "/hosts/a", #"{"region": "x"}"#)
      #expect(refused.status >= 500)
      #expect(try await registry.send(.get, "/hosts/a").text.contains(#""region":null"#))
      let records = try await registry.accounts.audit(AuditQuery(kind: "host", id: "a"))
      #expect(records.count == 3)
      #expect(records.first?.before == records.dropFirst().first?.after)
      #expect(records.first?.after == records.last?.after)
    }
  }

  @Test("while the audit log does not respond, no host is suspended, drained or resumed")
  func auditLogAway() async throws {
    let scratch = try TestRegistry.Scratch()
    let away = Failure(.storeUnreachable, "away")
    let tag = try await TestRegistry.run(in: scratch) { registry in
      _ = try await registry.send(.post, "/hosts", Self.gpu)
      func refuse(_ action: String) async throws {
        let before = try await registry.send(.get, "/hosts/a")
        registry.auditLog.setFault(away)
        let refused = try await registry.send(.post, "/hosts/a/\(action)")
        #expect(refused.status == 503, "\(action): \(refused)")
        #expect(refused.text.contains(#""code":"store_unreachable""#), "\(refused)")
        #expect(refused.text.contains("the host was not changed"), "\(refused)")
        registry.auditLog.setFault(nil)
        #expect(try await registry.send(.get, "/hosts/a").tag == before.tag, "\(action)")
      }
      try await refuse("suspend")
      try await refuse("drain?wait_ms=30000")
      let suspended = try await registry.send(.post, "/hosts/a/suspend")
      #expect(suspended.text.contains(#""state":"suspended""#))
      try await refuse("resume")
      // A second suspension is no change, so nothing has to be recorded.
      registry.auditLog.setFault(away)
      let again = try await registry.send(.post, "/hosts/a/suspend")
      #expect(again.status == 200 && again.tag == suspended.tag)
      let records = try await registry.accounts.audit(AuditQuery(kind: "host", id: "a"))
      #expect(records.count == 2)
      return suspended.tag
    }
    try await TestRegistry.run(in: scratch) { registry in
      let restored = try await registry.send(.get, "/hosts/a")
      #expect(restored.tag == tag && restored.text.contains(#""state":"suspended""#))
    }
  }
}
