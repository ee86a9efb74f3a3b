import ClusterModel
import CommandLineCore
import Files
import Foundation
import NIOHTTP1

/// Requests to the gateway and the monitor, with the client's key.
extension ClusterClient {
  /// The cluster that `find` finds, with the client's key.
  ///
  /// - Throws: if the key cannot be read or must not be sent to this cluster. A saved key that
  ///   would cross the network without encryption is left out instead.
  static func findWithKey(
    url: String?, dataDirectory: String?, keyFile: String?, environment: [String: String]
  ) async throws -> ClusterClient {
    var client = try find(url: url, dataDirectory: dataDirectory, environment: environment)
    let variable = environment[ClientKey.Source.variableName]
    let source = ClientKey.Source(
      variable: variable, keyFile: keyFile,
      dataDirectory: directory(flag: dataDirectory, environment: environment))
    guard let key = try key(from: source, variable: variable) else { return client }
    switch KeyDestination(client.address) {
    case .allowed: client.clientKey = key
    case .provenCluster:
      try await client.checkOwnership(sending: source)
      client.clientKey = key
    case .refused:
      let reason = KeyDestination.refusal(of: client.address, source: source)
      // A saved key may belong to another cluster, and this cluster may need no key. So the command
      // continues without a key.
      guard case .saved = source else { throw ProcessFailure(.usage, reason) }
      Terminal.progress(reason)
    }
    return client
  }

  /// - Returns: `nil` if no key was given and none is saved.
  private static func key(
    from source: ClientKey.Source, variable: String?
  ) throws(ProcessFailure) -> ClientKey? {
    switch source {
    case .variable: return try ClientKey((variable ?? "").utf8, from: source)
    case .file(let path):
      guard let bytes = try bytes(ofFile: path) else {
        throw ProcessFailure(.usage, "--key-file: \(path) does not exist")
      }
      return try ClientKey(bytes, from: source)
    case .saved(let path):
      guard let bytes = try bytes(ofFile: path) else { return nil }
      return try ClientKey(bytes, from: source)
    }
  }

  private static func bytes(ofFile path: String) throws(ProcessFailure) -> [UInt8]? {
    do throws(FileRefused) {
      // Room for white space around the longest key.
      return try PrivateFile.read(path, atMost: ClientKey.maximumBytes + 64)
    } catch {
      throw ProcessFailure(.usage, "the key was not read. \(error.message)")
    }
  }

  /// Throws unless the registry proves that it belongs to the cluster of the admin token.
  private func checkOwnership(sending source: ClientKey.Source) async throws {
    let remedy = "name the gateway with --url \(address.gateway) to send the key without a proof"
    let isProven: Bool
    do {
      guard let adminToken else {
        throw ProcessFailure(.failed, "the admin token of the cluster is not known")
      }
      isProven = try await self.isProven(adminToken)
    } catch let failure as ProcessFailure {
      throw ProcessFailure(
        failure.status,
        "\(failure.message)\nthe key was not sent: the cluster could not prove itself; \(remedy)")
    }
    guard isProven else {
      throw ProcessFailure(
        .failed,
        "the key was not sent: \(address.registry) does not prove that it belongs to the cluster "
          + "of the data directory; another program may listen there. If you trust it, \(remedy)")
    }
  }

  /// Sends a request to the gateway or the monitor. Throws if the status is not a success.
  func clientSuccess(
    _ method: HTTPMethod, _ url: String, json: Data? = nil
  ) async throws -> Answer {
    let answer = try await request(method, url, token: clientKey?.revealed, json: json)
    guard (200..<300).contains(answer.status) else {
      throw clientFailure(status: answer.status, body: answer.body, url: url)
    }
    return answer
  }

  /// Turns an unsuccessful answer of the gateway or the monitor into a failure of the command.
  func clientFailure(status: Int, body: Data, url: String) -> ProcessFailure {
    var failure = Self.failure(status: status, body: body, url: url)
    if status == 401 {
      failure.status = .usage
      failure.message += "\n" + ClientKey.advice(afterRefusing: clientKey?.source)
    }
    return failure
  }
}
