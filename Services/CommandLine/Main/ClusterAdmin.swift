import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1

/// The registry's admin API, as far as the command line uses it.
extension ClusterClient {
  struct Page<Item: Decodable>: Decodable {
    let data: [Item]
  }

  /// A line of `/admin/v1/services`.
  struct ServiceLine: Decodable {
    let name: String
    let service: String
  }

  private var hostsURL: String { address.registry + "/admin/v1/hosts" }

  /// The token, or the sentence that says where it comes from.
  private func requiredToken() throws -> String {
    guard let adminToken else {
      throw CommandFailure(
        .usage,
        "the registry's admin token is not known; set TUTTI_ADMIN_TOKEN, or name the cluster's "
          + "data directory with --data-dir")
    }
    return adminToken
  }

  func services() async throws -> [ServiceLine] {
    let url = address.registry + "/admin/v1/services"
    return try await success(.GET, url, token: requiredToken())
      .decoded(as: Page<ServiceLine>.self, from: url).data
  }

  /// As the registry sent them.
  func hostsJSON() async throws -> Data {
    try await success(.GET, hostsURL + "?limit=1000", token: requiredToken()).body
  }

  func hosts() async throws -> [HostLine] {
    try Answer(status: 200, body: await hostsJSON())
      .decoded(as: Page<HostLine>.self, from: hostsURL).data
  }

  /// - Parameter id: nil: the registry makes one from the URL.
  func addHost(
    url: String, id: HostID? = nil, trust: DataPolicy? = nil, tier: HostTier? = nil,
    dialect: HostDialect? = nil, resume: ResumeWay? = nil, credential: CredentialReference? = nil
  ) async throws -> HostLine {
    var more: [String: String] = [:]
    more["tier"] = tier?.rawValue
    more["dialect"] = dialect?.rawValue
    more["resume"] = resume?.rawValue
    more["credential"] = credential?.description
    let answer = try await postHost(url: url, id: id, trust: trust, more: more)
    guard (200..<300).contains(answer.status) else {
      throw Self.failure(status: answer.status, body: answer.body, url: hostsURL)
    }
    return try answer.decoded(as: HostLine.self, from: hostsURL)
  }

  /// Adds a host unless it is there already.
  /// - Returns: whether it is there now.
  func ensureHost(url: String, id: HostID? = nil, trust: DataPolicy? = nil) async throws -> Bool {
    let status = try await postHost(url: url, id: id, trust: trust).status
    return (200..<300).contains(status) || status == 409
  }

  private func postHost(
    url: String, id: HostID?, trust: DataPolicy?, more: [String: String] = [:]
  ) async throws -> Answer {
    var members = more
    members["url"] = url
    members["id"] = id?.name
    members["trust"] = trust?.rawValue
    return try await request(
      .POST, hostsURL, token: requiredToken(), json: JSONEncoder().encode(members))
  }

  func setHost(_ id: HostID, suspended: Bool) async throws {
    _ = try await success(
      .POST, "\(hostURL(id))/\(suspended ? "suspend" : "resume")", token: requiredToken())
  }

  func removeHost(_ id: HostID) async throws {
    _ = try await success(.DELETE, hostURL(id), token: requiredToken())
  }

  private func hostURL(_ id: HostID) -> String {
    var allowed = CharacterSet.alphanumerics
    allowed.insert(charactersIn: "-._~")
    // An id is text that somebody typed: without escapes a slash in it would name another path.
    return hostsURL + "/" + (id.name.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")
  }
}

/// A host as the registry's admin API shows it.
struct HostLine: Decodable {
  struct Model: Decodable {
    let id: String
  }

  let id: String
  let url: String
  let state: String
  let dialect: String?
  let reason: String?
  let models: [Model]?
  let slots: Int?
  let version: String?
  let load: Load?

  /// What the processes reported of their traffic.
  struct Load: Codable {
    let inFlight: Int
    let firstTokenP95: Int?
    let openBreakers: Int

    enum CodingKeys: String, CodingKey {
      case inFlight = "in_flight"
      case firstTokenP95 = "first_token_p95_ms"
      case openBreakers = "open_breakers"
    }
  }
}
