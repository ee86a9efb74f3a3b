import ClusterModel
import HTTPTypes
import Hummingbird
import Limits
import RegistryCore

/// Routes of `/admin/v1/models`. OpenAPI+Models.swift describes them.
struct ModelAPI: Sendable {
  let models: ModelShell
  /// Returns the hosts with their lists of models.
  let hosts: @Sendable () -> HostRegistry
  let gate: AdminGate

  func addRoutes(to router: Router<BasicRequestContext>) {
    gate.route(router, .get, "/admin/v1/models") { request in try list(request) }
    // A slash in a model's name is percent-encoded, so the name is one part of the path.
    gate.route(router, .get, "/admin/v1/models/:id") { request in try model(request.model) }
    gate.route(router, .patch, "/admin/v1/models/:id") { request in
      let (id, expected) = (request.model, request.expectedRevisions)
      let patch = try await ModelFields(request.http).patch()
      try await models.change(by: request.author) { models throws(Failure) in
        try models.patch(id, patch, expected: expected)
      }
      return try model(id)
    }
    gate.route(router, .delete, "/admin/v1/models/:id") { request in
      let (id, expected) = (request.model, request.expectedRevisions)
      try await models.change(by: request.author) { models throws(Failure) in
        try models.remove(id, expected: expected)
      }
      return json(Removed(object: "model", id: id.name))
    }
  }

  private func model(_ id: ModelID) throws -> Response {
    let entry = models.models[id]
    let standings = hosts().standings(of: [id])[id] ?? []
    guard entry != nil || !standings.isEmpty else {
      throw Failure(
        .modelNotFound,
        "No host lists a model \(id.name.cut(toBytes: 100)), and it has no record; `tutti models "
          + "list` or GET /admin/v1/models lists all models.", param: "id")
    }
    var response = json(ModelJSON(entry?.record ?? ModelRecord(id), standings))
    response.headers[.eTag] = "\"\(entry?.revision ?? ModelRegistry.absent)\""
    return response
  }

  private func list(_ request: AdminRequest) throws -> Response {
    let limit = try request.number("limit", in: AdminAPI.pages, or: 100)
    let after = request.text("after")
    let (hosts, records) = (hosts(), models.models)
    let names = hosts.listedModels.union(records.records.map(\.id))
      .filter { id in after.map { id.name > $0 } ?? true }.sorted()
    let page = names.prefix(limit)
    let standings = hosts.standings(of: Array(page))
    var shown: [ModelJSON] = []
    var offers = 0
    for id in page {
      let own = standings[id] ?? []
      offers += own.count
      guard shown.isEmpty || offers <= Limits.listedModelOffers.value else { break }
      shown.append(ModelJSON(records[id]?.record ?? ModelRecord(id), own))
    }
    return json(Page(data: shown, hasMore: names.count > shown.count))
  }
}

extension AdminRequest {
  /// The model that the path names.
  fileprivate var model: ModelID { ModelID(id) }
}

/// A model in the admin API: its record, and the hosts that list it.
struct ModelJSON: Encodable {
  private struct Offer: Encodable {
    let host: HostID
    let approved: Bool
    let state: HostState
  }

  private enum CodingKeys: String, CodingKey {
    case object, kind, offers, ranked
    case contextTokens = "context_tokens"
  }

  private let record: ModelRecord
  private let offers: [Offer]

  init(_ record: ModelRecord, _ standings: [OfferStanding]) {
    self.record = record
    offers = standings.map { Offer(host: $0.host, approved: $0.isApproved, state: $0.state) }
  }

  func encode(to encoder: any Encoder) throws {
    try record.encode(to: encoder)
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode("model", forKey: .object)
    // `null` shows that the kind follows from the name and the context from the host's report. The
    // members are never absent.
    try members.encode(record.isRanked, forKey: .ranked)
    try members.encode(record.kind, forKey: .kind)
    try members.encode(record.contextTokens, forKey: .contextTokens)
    try members.encode(offers, forKey: .offers)
  }
}

/// The body of a PATCH of a model.
struct ModelFields {
  private let fields: JSONFields

  init(_ request: Request) async throws {
    fields = try await JSONFields(request, isOptional: true)
  }

  func patch() throws -> ModelPatch {
    try fields.allow([
      "stands_for", "ranked", "hosts", "host_pools", "hidden", "kind", "context_tokens",
      "minimum_versions",
    ])
    var patch = ModelPatch(
      standsFor: try fields.texts("stands_for")?.map { ModelID($0) },
      isRanked: try fields["ranked"].map { _ in try fields.flag("ranked") },
      hosts: try fields.texts("hosts")?.map { HostID($0) },
      hostPools: try fields.texts("host_pools"),
      isHidden: try fields["hidden"].map { _ in try fields.flag("hidden") },
      minimumVersions: try fields.texts("minimum_versions"))
    if fields["kind"] != nil { patch.kind = .some(try fields.choice("kind")) }
    if fields["context_tokens"] != nil {
      patch.contextTokens = .some(
        try fields.integer("context_tokens", in: ModelPatch.contextTokens))
    }
    return patch
  }
}
