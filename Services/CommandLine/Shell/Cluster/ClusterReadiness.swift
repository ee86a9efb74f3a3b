import Clocks
import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1

/// Checks whether the children of `tutti up` are ready.
struct ClusterReadiness: Sendable {
  let layout: ClusterLayout
  let adminTokenFile: String

  /// Interval between checks. A start takes about a second, so a check every 200 ms adds little
  /// delay and little work.
  static let interval = Duration.milliseconds(200)

  private var client: ClusterClient {
    var client = ClusterClient(
      address: ClusterAddress(
        gateway: layout.gatewayURL, registry: layout.registryURL, monitor: layout.monitorURL))
    client.adminToken =
      ProcessInfo.processInfo.environment["TUTTI_ADMIN_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
      ?? ClusterClient.token(inFile: adminTokenFile)
    return client
  }

  /// Checks `child` again and again until it is ready or `isAlive` returns false.
  ///
  /// A model server is ready when it has answered one request and is registered. The first request
  /// of a new server is slow.
  /// - Returns: `nil` if the child is gone.
  func await(
    _ child: Child, clock: ProcessClock, isAlive: @Sendable () -> Bool
  ) async throws -> StartLines.Times? {
    func becomesTrue(_ isTrue: () async -> Bool) async throws -> Bool {
      while isAlive() {
        if await isTrue() { return true }
        try await Task.sleep(for: Self.interval)
      }
      return false
    }
    guard let host = layout.modelHosts.first(where: { $0.id.name == child.name }) else {
      let isUp = try await becomesTrue { await isReady(child) }
      return isUp ? StartLines.Times() : nil
    }
    guard try await becomesTrue({ await answers(host.url + "/health") }) else { return nil }
    let loaded = clock.now
    guard try await becomesTrue({ await warmUp(host) }) else { return nil }
    let answered = clock.now
    let tags = [RepetitionWatch.tag]
    guard
      try await becomesTrue({
        await isRegistered(host.url, id: host.id, trust: .local, tags: tags)
      })
    else { return nil }
    return StartLines.Times(loaded: loaded, answered: answered)
  }

  private func isReady(_ child: Child) async -> Bool {
    switch ServiceName(child.name) {
    case .registry: return await answers(layout.registryURL + "/health")
    case .monitor: return await answers(layout.monitorURL + "/health")
    case .gateway: return await answers(layout.gatewayURL + "/health")
    case .planner, .dispatcher, .agent, .other:
      let services = try? await client.services()
      return services?.contains { $0.service == child.name } ?? false
    }
  }

  private func warmUp(_ host: ClusterLayout.ModelHost) async -> Bool {
    let body = #"{"messages":[{"role":"user","content":"Say hello."}],"max_tokens":1}"#
    let answer = try? await client.request(
      .POST, host.url + "/v1/chat/completions", json: Data(body.utf8), timeout: .seconds(120))
    guard let status = answer?.status else { return false }
    // A model without chat, for example one for embeddings, refuses this request and is ready, too.
    return status == 200 || status == 501 || (400..<500).contains(status)
  }

  private func answers(_ url: String) async -> Bool {
    (try? await client.request(.GET, url, timeout: .seconds(2)))?.status == 200
  }

  /// Adds the host unless the registry has it with this address.
  /// - Parameter refused: called with the registry's message if the registry refuses the host.
  /// - Returns: `true` if the host is registered or was refused. `false` means that a request to
  ///   the registry failed.
  func isRegistered(
    _ url: String, id: HostID? = nil, trust: DataPolicy? = nil, tags: [String]? = nil,
    refused: (String) -> Void = { _ in }
  ) async -> Bool {
    let client = client
    do {
      // A host of an earlier start may have this id at another port.
      if let id, let former = try await client.hosts().first(where: { $0.id == id.name }) {
        if former.url == url { return true }
        try await client.removeHost(id)
      }
      try await client.ensureHost(url: url, id: id, trust: trust, tags: tags)
      return true
    } catch let refusal as ClusterClient.HostRefusal {
      // The registry would refuse a retry, too.
      refused(refusal.message)
      return true
    } catch {
      return false
    }
  }

  /// Every registered host. `nil` means that the registry does not answer.
  func hosts() async -> [HostDetails]? { try? await client.hosts() }

  /// Why no host can answer, one line per host.
  /// `nil` means that a host can answer or has not been probed yet, that no host is registered, or
  /// that the registry does not answer.
  func hostProblems() async -> [String]? {
    guard let hosts = try? await client.hosts(), !hosts.isEmpty,
      hosts.allSatisfy({ ["unreachable", "suspended"].contains($0.state) })
    else { return nil }
    return hosts.map {
      TextTable.printable("host \($0.id) (\($0.url)): \($0.reason ?? $0.state)")
    }
  }

  /// Makes the registry probe every unreachable host now. Otherwise a host that has just started
  /// would wait for the end of its backoff.
  func probeHosts() async {
    let client = client
    for host in (try? await client.hosts()) ?? [] where host.state == "unreachable" {
      _ = try? await client.probeHost(HostID(host.id))
    }
  }

  /// Removes model servers that an earlier start registered and this start does not have.
  /// - Returns: false if the registry does not answer.
  func forgetFormerHosts() async -> Bool {
    let client = client
    guard let known = try? await client.hosts() else { return false }
    let ours = Set(layout.modelHosts.map(\.id.name))
    for host in known where host.id.hasPrefix("embedded-") && !ours.contains(host.id) {
      try? await client.removeHost(HostID(host.id))
    }
    return true
  }

  /// Whether requests need no key, because no key was ever created. `nil` means not known.
  func isOpen() async -> Bool? { (try? await client.isOpen()) ?? nil }

  /// Whether the gateway can answer a request now.
  func canAnswer() async -> Bool { await answers(layout.gatewayURL + "/ready") }
}
