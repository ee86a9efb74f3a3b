import AsyncHTTPClient
import ClusterModel
import CommandLineCore
import Files
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL
import ServiceKit

/// HTTP client of a cluster's services. Each error becomes one sentence.
struct ClusterClient: Sendable {
  let address: ClusterAddress
  /// Key for the gateway and the monitor. `nil` means that none is sent.
  var clientKey: ClientKey?
  /// Token of the registry's admin API.
  var adminToken: String?

  /// Maximum bytes of an answer. It is more than any page of logs or any host table has.
  static let longestAnswer = 32 << 20

  /// Time limit of most requests.
  static let requestTimeout = TimeAmount.seconds(20)

  /// Client with certificate verification. It is used until the command ends.
  private static let http = makeClient(verification: .fullVerification)
  /// Client without certificate verification, for services on this machine.
  /// Their certificate has the machine's public name and not 127.0.0.1. The registry has to prove
  /// that it belongs to the cluster before it gets the token.
  private static let ownHTTP = makeClient(verification: .none)

  private static func client(for url: String) -> HTTPClient {
    ["https://127.0.0.1:", "https://localhost:", "https://[::1]:"].contains(where: url.hasPrefix)
      ? ownHTTP : http
  }

  private static func makeClient(verification: CertificateVerification) -> HTTPClient {
    // No Tutti service redirects a client, and a redirect must not get the token.
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5)))
    // A refused connection fails at once. Retries until the deadline would leave the user without a
    // message for minutes.
    configuration.connectionPool.retryConnectionEstablishment = false
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.minimumTLSVersion = .tlsv12
    tls.certificateVerification = verification
    configuration.tlsConfiguration = tls
    return HTTPClient(configuration: configuration)
  }

  struct Answer: Sendable {
    let status: Int
    let body: Data
    var etag: String?

    func decoded<Value: Decodable>(as type: Value.Type, from url: String) throws -> Value {
      do {
        return try JSONDecoder().decode(type, from: body)
      } catch {
        throw ProcessFailure(
          .failed, "\(url) did not answer like a Tutti service; is the address right?")
      }
    }
  }

  func request(
    _ method: HTTPMethod, _ url: String, token: String? = nil, json: Data? = nil,
    ifMatch tag: String? = nil, timeout: TimeAmount = Self.requestTimeout
  ) async throws -> Answer {
    let response = try await open(
      method, url, token: token, json: json, ifMatch: tag, timeout: timeout)
    do {
      let body = try await response.body.collect(upTo: Self.longestAnswer)
      return Answer(
        status: Int(response.status.code), body: Data(body.readableBytesView),
        etag: response.headers.first(name: "etag"))
    } catch let error as CancellationError {
      throw error
    } catch {
      throw ProcessFailure(
        .unavailable, "\(url) broke off its answer (\(ErrorSentence.problem(error).sentence))")
    }
  }

  /// Returns the answer when its first bytes arrive. The caller reads the body.
  func open(
    _ method: HTTPMethod, _ url: String, token: String? = nil, json: Data? = nil,
    ifMatch tag: String? = nil, timeout: TimeAmount
  ) async throws -> HTTPClientResponse {
    var request = HTTPClientRequest(url: url)
    request.method = method
    if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
    if let tag { request.headers.add(name: "if-match", value: tag) }
    if let json {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(ByteBuffer(bytes: json))
    }
    do {
      return try await Self.client(for: url).execute(request, timeout: timeout)
    } catch let error as CancellationError {
      throw error
    } catch {
      throw ErrorSentence.problem(error).failure(at: url)
    }
  }

  /// Returns the answer of a request. Throws if the status is not a success.
  func success(
    _ method: HTTPMethod, _ url: String, token: String? = nil, json: Data? = nil,
    ifMatch tag: String? = nil
  ) async throws -> Answer {
    let answer = try await request(method, url, token: token, json: json, ifMatch: tag)
    guard (200..<300).contains(answer.status) else {
      throw Self.failure(status: answer.status, body: answer.body, url: url)
    }
    return answer
  }

  /// Turns an unsuccessful answer into a failure of the command.
  static func failure(status: Int, body: Data, url: String) -> ProcessFailure {
    struct Problem: Decodable {
      struct Content: Decodable {
        let message: String
        let code: String?

        enum CodingKeys: CodingKey { case message, code }

        init(from decoder: any Decoder) throws {
          let members = try decoder.container(keyedBy: CodingKeys.self)
          message = try members.decode(String.self, forKey: .message)
          // Some hosts send a number as the code, which is ignored.
          code = try? members.decode(String.self, forKey: .code)
        }
      }
      let error: Content
    }
    guard let problem = try? JSONDecoder().decode(Problem.self, from: body) else {
      return ProcessFailure(.failed, "\(url) answered with status \(status)")
    }
    let exit: ExitStatus =
      switch status {
      case 400, 413, 422: .usage
      case 404 where problem.error.code == Failure.Code.modelNotFound.rawValue: .usage
      case 429: .tryLater
      case 503 where problem.error.code == Failure.Code.overloaded.rawValue: .tryLater
      case 503: .unavailable
      default: .failed
      }
    return ProcessFailure(
      exit, TextTable.printable(ServerWords.withCommands(problem.error.message)))
  }
}

extension ClusterClient {
  /// The cluster named by the options, the environment or the data directory.
  static func find(
    url: String?, dataDirectory: String?, environment: [String: String]
  ) throws -> ClusterClient {
    let address = try findAddress(
      url: url, dataDirectory: dataDirectory, environment: environment)
    var client = ClusterClient(address: address)
    if let token = environment["TUTTI_ADMIN_TOKEN"], !token.isEmpty {
      client.adminToken = token
    } else {
      client.adminToken = Self.token(
        inFile: address.adminTokenFile
          ?? directory(flag: dataDirectory, environment: environment) + "/admin-token")
    }
    return client
  }

  /// The data directory that the options, the environment or the default name.
  static func directory(flag: String?, environment: [String: String]) -> String {
    if let flag { return flag }
    if let named = environment["TUTTI_DATA_DIR"], !named.isEmpty { return named }
    return CommonConfiguration.defaultDataDirectory(environment)
  }

  static func token(inFile path: String) -> String? {
    // The token is not read through a link, and not from a file that another user can write.
    guard let bytes = try? PrivateFile.read(path, atMost: 4_096) else { return nil }
    let token = String(decoding: bytes, as: UTF8.self).trimmingCharacters(
      in: .whitespacesAndNewlines)
    return token.isEmpty ? nil : token
  }

  private static func findAddress(
    url: String?, dataDirectory: String?, environment: [String: String]
  ) throws -> ClusterAddress {
    if let url { return try ClusterAddress(gatewayURL: url) }
    if dataDirectory == nil, let url = environment["TUTTI_URL"], !url.isEmpty {
      return try ClusterAddress(gatewayURL: url)
    }
    let directory = directory(flag: dataDirectory, environment: environment)
    let path = directory + "/cluster.json"
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ProcessFailure(
        .unavailable,
        "no cluster runs with the data directory \(directory); start one with `tutti up`, "
          + "or name one with --url")
    }
    guard let address = try? JSONDecoder().decode(ClusterAddress.self, from: data) else {
      throw ProcessFailure(
        .failed, "\(path) cannot be read; start the cluster again with `tutti up`")
    }
    if let pid = address.pid, kill(pid, 0) != 0, errno == ESRCH {
      throw ProcessFailure(
        .unavailable,
        "the cluster of \(directory) (pid \(pid)) is gone; start one with `tutti up`")
    }
    return address
  }
}
