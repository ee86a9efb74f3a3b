import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1
import ServiceKit

/// Requests to the registry's admin API for its proof, services and hosts.
extension ClusterClient {
  struct Page<Item: Decodable>: Decodable {
    let data: [Item]
  }

  /// An entry of `/admin/v1/services`.
  struct ServiceRow: Decodable {
    let name: String
    let service: String
  }

  private var hostsURL: String { address.registry + "/admin/v1/hosts" }

  /// - Throws: if the token is not known. The message names the ways to give it.
  private func requiredToken() throws -> String {
    guard let adminToken else {
      throw ProcessFailure(
        .usage,
        "the registry's admin token is not known; set TUTTI_ADMIN_TOKEN, or name the cluster's "
          + "data directory with --data-dir")
    }
    return adminToken
  }

  /// Returns the token after the registry has proved that it knows the token.
  /// Without this proof, another process that has taken the registry's port would get the token.
  func provenToken() async throws -> String {
    let token = try requiredToken()
    if let refusal = KeyDestination.tokenRefusal(registry: address.registry) {
      throw ProcessFailure(.usage, refusal)
    }
    guard try await isProven(token) else {
      throw ProcessFailure(
        .failed,
        "\(address.registry) does not prove that it knows the admin token, so the token was not "
          + "sent: it is not the admin token of that registry (check TUTTI_ADMIN_TOKEN and "
          + "--data-dir), or another program listens at this address")
    }
    return token
  }

  /// Whether the registry proves that it knows the token.
  func isProven(_ token: String) async throws -> Bool {
    struct Proof: Decodable { let proof: String }
    let nonce = AdminProof.nonce()
    let answer = try await request(
      .GET, address.registry + "/admin/v1/proof?nonce=" + nonce, timeout: .seconds(5))
    let proof = try? JSONDecoder().decode(Proof.self, from: answer.body).proof
    return answer.status == 200
      && AdminProof.isValid(proof ?? "", token: Array(token.utf8), nonce: nonce)
  }

  func services() async throws -> [ServiceRow] {
    let url = address.registry + "/admin/v1/services"
    return try await success(.GET, url, token: provenToken())
      .decoded(as: Page<ServiceRow>.self, from: url).data
  }

  /// The list of hosts, as the registry sent it.
  func hostsJSON() async throws -> Data {
    try await success(.GET, hostsURL + "?limit=1000", token: provenToken()).body
  }

  func hosts() async throws -> [HostDetails] {
    try Answer(status: 200, body: await hostsJSON())
      .decoded(as: Page<HostDetails>.self, from: hostsURL).data
  }

  /// - Parameters:
  ///   - body: the members of the host, as JSON.
  ///   - wait: maximum time for the host's first probe, so that the answer has its result.
  func addHost(_ body: [UInt8], waiting wait: Duration) async throws -> HostDetails {
    let answer = try await postHost(Data(body), waiting: wait)
    guard (200..<300).contains(answer.status) else {
      throw Self.failure(status: answer.status, body: answer.body, url: hostsURL)
    }
    return try answer.decoded(as: HostDetails.self, from: hostsURL)
  }

  /// Adds a host unless the host is registered already.
  /// - Throws: `HostRefusal` if the registry will never accept the host.
  func ensureHost(
    url: String, id: HostID? = nil, trust: DataPolicy? = nil, tags: [String]? = nil
  ) async throws {
    let body = HostBody(url: url, id: id?.name, trust: trust?.rawValue, tags: tags)
    let answer = try await postHost(try JSONEncoder().encode(body))
    guard (200..<300).contains(answer.status) || answer.status == 409 else {
      let failure = Self.failure(status: answer.status, body: answer.body, url: hostsURL)
      if failure.status == .usage { throw HostRefusal(message: failure.message) }
      throw failure
    }
  }

  /// Why the registry does not accept a host, in the registry's words.
  struct HostRefusal: Error {
    let message: String
  }

  /// Makes the registry probe a host now.
  ///
  /// - Parameter wait: maximum time for the probe, so that the answer has its result.
  func probeHost(
    _ id: HostID, waiting wait: Duration = .zero
  ) async throws -> HostDetails {
    let url = "\(hostURL(id))/probe?wait_ms=\(wait.wholeMilliseconds)"
    return try await success(.POST, url, token: provenToken())
      .decoded(as: HostDetails.self, from: url)
  }

  /// For a `nil` member, the registry chooses the value.
  private struct HostBody: Encodable {
    var url: String
    var id: String?
    var trust: String?
    var tags: [String]?
  }

  /// - Parameter wait: maximum time for the host's first probe, so that the answer has its result.
  private func postHost(_ body: Data, waiting wait: Duration = .zero) async throws -> Answer {
    try await request(
      .POST, hostsURL + "?wait_ms=\(wait.wholeMilliseconds)", token: provenToken(),
      json: body)
  }

  func suspendHost(_ id: HostID) async throws {
    _ = try await success(.POST, "\(hostURL(id))/suspend", token: provenToken())
  }

  /// - Parameter wait: maximum time for the host's probe, so that the answer has its result.
  func resumeHost(_ id: HostID, waiting wait: Duration) async throws -> HostDetails {
    let url = "\(hostURL(id))/resume?wait_ms=\(wait.wholeMilliseconds)"
    return try await success(.POST, url, token: provenToken())
      .decoded(as: HostDetails.self, from: url)
  }

  func removeHost(_ id: HostID) async throws {
    _ = try await success(.DELETE, hostURL(id), token: provenToken())
  }

  func hostURL(_ id: HostID) -> String { hostsURL + "/" + Self.escaped(id.name) }

  /// Escapes the text as one part of a path or a query. A user typed the text, and an unescaped
  /// slash in it would name another path.
  static func escaped(_ text: String) -> String {
    let letters = CharacterSet(charactersIn: "A"..."Z").union(CharacterSet(charactersIn: "a"..."z"))
    let allowed = letters.union(CharacterSet(charactersIn: "0123456789-._~"))
    return text.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
  }
}
