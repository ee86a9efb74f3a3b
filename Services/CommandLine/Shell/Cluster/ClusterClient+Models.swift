import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

/// The registry's API of models.
extension ClusterClient {
  private struct ModelPage: Decodable {
    let data: [ModelRow]
    let hasMore: Bool?

    enum CodingKeys: String, CodingKey {
      case data
      case hasMore = "has_more"
    }
  }

  private var modelsURL: String { address.registry + "/admin/v1/models" }

  private func modelURL(_ id: ModelID) -> String { modelsURL + "/" + Self.escaped(id.name) }

  /// Maximum pages of a list. They hold as many models as the host table can have.
  private static let mostPages = 1_000

  /// Passes all models to `use`, page by page, with the registry's answer.
  func eachModelPage(_ use: ([ModelRow], Answer) throws -> Void) async throws {
    var query = "?limit=1000"
    // A registry that repeats its pages must not keep the command busy without end.
    for _ in 0..<Self.mostPages {
      let answer = try await success(.GET, modelsURL + query, token: provenToken())
      let page = try answer.decoded(as: ModelPage.self, from: modelsURL)
      try use(page.data, answer)
      guard page.hasMore == true else { return }
      guard let last = page.data.last else { break }
      query = "?limit=1000&after=\(Self.escaped(last.id))"
    }
    throw AdminConnection.endless("/admin/v1/models")
  }

  func model(_ id: ModelID) async throws -> Answer {
    try await success(.GET, modelURL(id), token: provenToken())
  }

  func changeModel(
    _ id: ModelID, _ body: [UInt8], ifMatch tag: String? = nil
  ) async throws -> Answer {
    try await success(
      .PATCH, modelURL(id), token: provenToken(), json: Data(body), ifMatch: tag)
  }

  /// ETag of a model without a record.
  private static let absent = #""0""#

  /// Approves hosts for a model.
  ///
  /// - Parameter isOnly: `true` means that all other hosts lose their approval. `false` adds the
  ///   hosts to those that are approved already.
  func approve(_ hosts: [HostID], for id: ModelID, isOnly: Bool) async throws -> Answer {
    let answer = try await request(.GET, modelURL(id), token: provenToken())
    var present: [String] = []
    if answer.status != 404 {
      guard (200..<300).contains(answer.status) else {
        throw Self.failure(status: answer.status, body: answer.body, url: modelURL(id))
      }
      present = try answer.decoded(as: ModelRow.self, from: modelsURL).hosts
    }
    return try await changeModel(
      id, ModelOptions.approval(of: hosts.map(\.name), after: isOnly ? [] : present),
      ifMatch: answer.etag ?? Self.absent)
  }

  /// Adds a model to those for which an alias stands.
  func addAlias(_ alias: ModelID, for model: ModelID) async throws {
    let answer = try await request(.GET, modelURL(alias), token: provenToken())
    var present: [String] = []
    if answer.status != 404 {
      guard (200..<300).contains(answer.status) else {
        throw Self.failure(status: answer.status, body: answer.body, url: modelURL(alias))
      }
      present = try answer.decoded(as: ModelRow.self, from: modelsURL).standsFor
    }
    guard let body = HostAlias.body(of: model, after: present) else { return }
    _ = try await changeModel(alias, body, ifMatch: answer.etag ?? Self.absent)
  }

  func resetModel(_ id: ModelID) async throws {
    _ = try await success(.DELETE, modelURL(id), token: provenToken())
  }
}
