import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1

/// Whether a child of `tutti up` answers yet.
struct ClusterReadiness: Sendable {
  let layout: ClusterLayout
  let adminTokenFile: String

  /// Between two questions: short against a start of a second, and few against its work.
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

  /// Returns when `child` is ready; asks again and again until `isAlive` says that it is gone.
  /// - Returns: false if it is gone.
  func await(
    _ child: Child, isAlive: @Sendable () -> Bool
  ) async throws -> Bool {
    while isAlive() {
      if await isReady(child) { return true }
      try await Task.sleep(for: Self.interval)
    }
    return false
  }

  private func isReady(_ child: Child) async -> Bool {
    if let host = layout.modelHosts.first(where: { $0.id.name == child.name }) {
      return await isReady(host)
    }
    switch ServiceName(child.name) {
    case .registry: return await answers(layout.registryURL + "/health")
    case .monitor: return await answers(layout.monitorURL + "/health")
    case .gateway: return await answers(layout.gatewayURL + "/health")
    case .planner, .dispatcher, .agent, .other:
      let services = try? await client.services()
      return services?.contains { $0.service == child.name } ?? false
    }
  }

  /// A model server is ready when it has answered one request (the first of a fresh server crawls)
  /// and the registry knows it.
  private func isReady(_ host: ClusterLayout.ModelHost) async -> Bool {
    guard await answers(host.url + "/health"), await warmUp(host) else { return false }
    return await isRegistered(host.url, id: host.id, trust: .local)
  }

  private func warmUp(_ host: ClusterLayout.ModelHost) async -> Bool {
    let body = #"{"messages":[{"role":"user","content":"Say hello."}],"max_tokens":1}"#
    let answer = try? await client.request(
      .POST, host.url + "/v1/chat/completions", json: Data(body.utf8), timeout: .seconds(120))
    return answer?.status == 200
  }

  private func answers(_ url: String) async -> Bool {
    (try? await client.request(.GET, url, timeout: .seconds(2)))?.status == 200
  }

  /// Adds the host where the registry does not have it yet with this address.
  /// - Returns: false if the registry does not answer.
  func isRegistered(
    _ url: String, id: HostID? = nil, trust: DataPolicy? = nil,
    refused: (String) -> Void = { _ in }
  ) async -> Bool {
    let client = client
    do {
      // One of a former start may have its name, at another port.
      if let id, let former = try await client.hosts().first(where: { $0.id == id.name }) {
        if former.url == url { return true }
        try await client.removeHost(id)
      }
      try await client.ensureHost(url: url, id: id, trust: trust)
      return true
    } catch let refusal as ClusterClient.HostRefusal {
      // Asking again would change nothing.
      refused(refusal.message)
      return true
    } catch {
      return false
    }
  }

  /// Why no host can answer, a line for each; `nil` while one can, or while one was not asked yet.
  func hostProblems() async -> [String]? {
    guard let hosts = try? await client.hosts(), !hosts.isEmpty,
      hosts.allSatisfy({ ["unreachable", "suspended"].contains($0.state) })
    else { return nil }
    return hosts.map {
      TextTable.printable("host \($0.id) (\($0.url)): \($0.reason ?? $0.state)")
    }
  }

  /// Has the registry look at every host that cannot be reached: one that has just started is ready
  /// within a second.
  func probeHosts() async {
    let client = client
    for host in (try? await client.hosts()) ?? [] where host.state == "unreachable" {
      try? await client.probeHost(HostID(host.id))
    }
  }

  /// Removes the model servers of a former start that this one does not have.
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

  /// Whether the gateway could answer a request now.
  func canAnswer() async -> Bool { await answers(layout.gatewayURL + "/ready") }
}
