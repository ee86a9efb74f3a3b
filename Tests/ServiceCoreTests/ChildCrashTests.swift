import ClusterModel
import CommandLineCore
import Testing

@Suite("Crashes of children")
struct ChildCrashTests {
  @Test("every unasked end is counted, also after the back-off has forgotten it")
  func count() throws {
    var supervisor = Supervisor([
      Child(name: "registry", executable: "/r", stage: 1, grace: .seconds(1)),
      Child(name: "gateway", executable: "/g", stage: 1, grace: .seconds(1)),
    ])
    _ = supervisor.start()
    var now = Instant.zero
    _ = supervisor.spawned("registry", pid: 1, now: now)
    _ = supervisor.spawned("gateway", pid: 2, now: now)
    for crash in 1...7 {
      _ = supervisor.exited("registry", .signalled(11), now: now, random: 0)
      #expect(supervisor.crashCount(of: "registry") == crash)
      // The next crash comes after the window of a crash loop.
      now = now.advanced(by: .seconds(200))
      #expect(supervisor.tick(now: now) == [.spawn("registry")])
      _ = supervisor.spawned("registry", pid: Int32(crash + 2), now: now)
    }
    #expect(supervisor.crashCount(of: "gateway") == 0)
    _ = supervisor.drain(now: now)
    _ = supervisor.exited("gateway", .exited(0), now: now, random: 0)
    #expect(supervisor.crashCount(of: "gateway") == 0)
  }

  @Test("signals of a program's own mistakes are crashes, others are not")
  func crashes() {
    #expect(ChildExit.signalled(4).isCrash && ChildExit.signalled(11).isCrash)
    #expect(!ChildExit.signalled(9).isCrash && !ChildExit.signalled(15).isCrash)
    #expect(!ChildExit.exited(1).isCrash && !ChildExit.notStarted("").isCrash)
    #expect("\(ChildExit.signalled(11))" == "was killed by signal 11 (SEGV)")
  }

  @Test("a model server inherits what it needs and no secret; a service inherits everything")
  func environment() throws {
    let own = [
      "PATH": "/bin", "HOME": "/home/me", "TUTTI_ADMIN_TOKEN": "secret", "OPENAI_API_KEY": "key",
      "TUTTI_CREDENTIAL_X": "key",
    ]
    let layout = ClusterLayout(
      dataDirectory: "/d", binDirectory: "/b", gatewayPort: 1,
      modelHosts: [
        .init(id: "embedded-1", port: 2, threads: 1, interpreter: "/python", launcher: "/l.py")
      ])
    let server = try #require(layout.children.first { $0.name == "embedded-1" })
    #expect(server.variables(from: own) == ["PATH": "/bin", "HOME": "/home/me"])
    let gateway = try #require(layout.children.first { $0.name == "gateway" })
    #expect(gateway.variables(from: own) == own)
  }
}
