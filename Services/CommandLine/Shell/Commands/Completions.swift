import ArgumentParser
import CommandLineCore
import Foundation
import NIOHTTP1

extension CompletionKind {
  /// The models of the cluster that the command line names.
  static let tuttiModels = CompletionKind.custom { words, _, _ in
    await Candidates.names(words) { try await Candidates.models(words) }
  }

  /// Ids of the hosts of the cluster that the command line names.
  static let tuttiHosts = CompletionKind.custom { words, _, _ in
    await Candidates.names(words) { try await Candidates.hosts(words) }
  }
}

/// Reads the candidates of completions from a running cluster.
private enum Candidates {
  /// Maximum time. The user's terminal shows nothing meanwhile.
  private static let patience = Duration.seconds(1)

  /// Returns the names, or none if they cannot be read in time. An error would be printed into the
  /// line that the user types.
  static func names(
    _ words: [String], _ read: @escaping @Sendable () async throws -> [String]
  ) async -> [String] {
    let names: [String]? = await withTaskGroup(of: [String]?.self) { group in
      group.addTask { try? await read() }
      group.addTask {
        try? await Task.sleep(for: Self.patience)
        return nil
      }
      defer { group.cancelAll() }
      return await group.next() ?? nil
    }
    return CompletionWords.candidates(names ?? [])
  }

  private static func cluster(_ words: [String]) throws -> ClusterClient {
    try ClusterClient.find(
      url: CompletionWords.value(of: "--url", in: words),
      dataDirectory: CompletionWords.value(of: "--data-dir", in: words),
      environment: ProcessInfo.processInfo.environment)
  }

  static func models(_ words: [String]) async throws -> [String] {
    struct Model: Decodable { let id: String }
    var client = try cluster(words)
    // Without this check, a refused key would print its reason.
    if KeyDestination(client.address) != .refused {
      client = try await ClusterClient.findWithKey(
        url: CompletionWords.value(of: "--url", in: words),
        dataDirectory: CompletionWords.value(of: "--data-dir", in: words),
        keyFile: CompletionWords.value(of: "--key-file", in: words),
        environment: ProcessInfo.processInfo.environment)
    }
    let url = client.address.gateway + "/v1/models"
    return try await client.clientSuccess(.GET, url)
      .decoded(as: ClusterClient.Page<Model>.self, from: url).data.map(\.id)
  }

  static func hosts(_ words: [String]) async throws -> [String] {
    try await cluster(words).hosts().map(\.id)
  }
}
