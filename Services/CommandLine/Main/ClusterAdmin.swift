import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1
import ServiceKit

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

  /// The token, once the registry has proved that it knows it: another process may have taken the
  /// registry's port.
  private func provenToken() async throws -> String {
    struct Proof: Decodable { let proof: String }
    let token = try requiredToken()
    let nonce = AdminProof.nonce()
    let answer = try await request(
      .GET, address.registry + "/admin/v1/proof?nonce=" + nonce, timeout: .seconds(5))
    let proof = try? JSONDecoder().decode(Proof.self, from: answer.body).proof
    guard answer.status == 200,
      AdminProof.isValid(proof ?? "", token: Array(token.utf8), nonce: nonce)
    else {
      throw CommandFailure(
        .failed,
        "\(address.registry) does not prove that it knows the token, so it does not get it: this is "
          + "not the admin token of that registry (look at TUTTI_ADMIN_TOKEN and --data-dir), or another "
          + "program listens there")
    }
    return token
  }

  func services() async throws -> [ServiceLine] {
    let url = address.registry + "/admin/v1/services"
    return try await success(.GET, url, token: provenToken())
      .decoded(as: Page<ServiceLine>.self, from: url).data
  }

  /// As the registry sent them.
  func hostsJSON() async throws -> Data {
    try await success(.GET, hostsURL + "?limit=1000", token: provenToken()).body
  }

  func hosts() async throws -> [HostLine] {
    try Answer(status: 200, body: await hostsJSON())
      .decoded(as: Page<HostLine>.self, from: hostsURL).data
  }

  /// - Parameter id: nil: the registry makes one from the URL.
  func addHost(
    url: String, id: HostID? = nil, trust: DataPolicy? = nil, tier: HostTier? = nil,
    dialect: HostDialect? = nil, resume: ResumeWay? = nil, credential: CredentialReference? = nil,
    allowsPlainHTTP: Bool = false, models: [ModelID] = []
  ) async throws -> HostLine {
    let answer = try await postHost(
      HostBody(
        url: url, id: id?.name, trust: trust?.rawValue, tier: tier?.rawValue,
        dialect: dialect?.rawValue, resume: resume?.rawValue, credential: credential?.description,
        allowsPlainHTTP: allowsPlainHTTP ? true : nil,
        models: models.isEmpty ? nil : models.map(\.name)), waiting: Self.firstProbe)
    guard (200..<300).contains(answer.status) else {
      throw Self.failure(status: answer.status, body: answer.body, url: hostsURL)
    }
    return try answer.decoded(as: HostLine.self, from: hostsURL)
  }

  /// Adds a host unless it is there already.
  /// - Throws: `HostRefusal` if the registry will never take it.
  func ensureHost(url: String, id: HostID? = nil, trust: DataPolicy? = nil) async throws {
    let answer = try await postHost(HostBody(url: url, id: id?.name, trust: trust?.rawValue))
    guard (200..<300).contains(answer.status) || answer.status == 409 else {
      let failure = Self.failure(status: answer.status, body: answer.body, url: hostsURL)
      if failure.status == .usage { throw HostRefusal(message: failure.message) }
      throw failure
    }
  }

  /// Why the registry does not take a host, in its words.
  struct HostRefusal: Error {
    let message: String
  }

  /// Has the registry ask a host now how it does.
  func probeHost(_ id: HostID) async throws {
    _ = try await success(.POST, "\(hostURL(id))/probe", token: provenToken())
  }

  /// What is `nil` is left to the registry.
  private struct HostBody: Encodable {
    var url: String
    var id: String?
    var trust: String?
    var tier: String?
    var dialect: String?
    var resume: String?
    var credential: String?
    var allowsPlainHTTP: Bool?
    var models: [String]?

    enum CodingKeys: String, CodingKey {
      case url, id, trust, tier, dialect, resume, credential, models
      case allowsPlainHTTP = "allow_plain_http"
    }
  }

  /// A probe ends within 2 s.
  private static let firstProbe = Duration.milliseconds(2_500)

  /// - Parameter wait: for the host's first probe, so that the answer says how it does.
  private func postHost(_ body: HostBody, waiting wait: Duration = .zero) async throws -> Answer {
    try await request(
      .POST, hostsURL + "?wait_ms=\(wait.wholeMilliseconds)", token: provenToken(),
      json: JSONEncoder().encode(body))
  }

  func setHost(_ id: HostID, suspended: Bool) async throws {
    _ = try await success(
      .POST, "\(hostURL(id))/\(suspended ? "suspend" : "resume")", token: provenToken())
  }

  func removeHost(_ id: HostID) async throws {
    _ = try await success(.DELETE, hostURL(id), token: provenToken())
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
