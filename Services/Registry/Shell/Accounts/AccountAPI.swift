import Access
import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import Money
import Overload
import RegistryCore
import ServiceKit
import Store

/// Routes for organisations, teams, budgets, prices and the ledger in `/admin/v1`.
/// OpenAPI+Accounts.swift describes them.
struct AccountAPI: Sendable {
  /// Whether a request changes something.
  enum Purpose: Sendable {
    case read, change
  }

  let accounts: AccountShell
  let keys: KeyIssuer
  /// Returns the name of the admin for the audit log. Throws if the request is not permitted.
  let authorise: @Sendable (Request, Purpose) async throws -> String
  /// Waits until an admin may read from the store.
  let storeRead: @Sendable (_ author: String) async throws -> ClientTurns.Turn
  /// Turns of proofs. A proof replays the whole ledger and takes some 100 MiB, so one runs at a
  /// time.
  let proofs = ClientTurns(limit: 1)
  /// Returns the present time in milliseconds since 1970.
  let wall: @Sendable () -> Int64

  private static let pages = 1...1_000
  /// Milliseconds from a request to the start of its price if the request names no time.
  private static let priceDelay: Int64 = 1_000

  func addRoutes(to router: Router<BasicRequestContext>) {
    addOrganisations(to: router)
    addTeams(to: router)
    addPrices(to: router)
    addLedger(to: router)
  }

  // MARK: - Organisations

  private func addOrganisations(to router: Router<BasicRequestContext>) {
    read(router, "/admin/v1/organisations") { request, _ in
      let (limit, after) = try page(request)
      let now = wall()
      // The records are sorted without the lock, because settlements wait for it.
      let records = accounts.read(\.organisations).filter { $0.id > after }.sorted { $0.id < $1.id }
      let found = accounts.read { book in
        records.prefix(limit + 1).map { OrganisationJSON($0, in: book, at: now) }
      }
      return json(Page(data: Array(found.prefix(limit)), hasMore: found.count > limit))
    }
    change(router, .post, "/admin/v1/organisations") { request, _, author in
      let fields: OrganisationFields = try await decode(request)
      guard let id = fields.id else { throw AdminFailure(missing: "id") }
      return try await setOrganisation(id, fields, .absent, author, .created)
    }
    read(router, "/admin/v1/organisations/:id") { _, parameters in
      let id = try parameters.name("id")
      return try organisation(id, revision(.organisation(id)))
    }
    change(router, .patch, "/admin/v1/organisations/:id") { request, parameters, author in
      let fields: OrganisationFields = try await decode(request)
      let id = try parameters.name("id")
      guard fields.id == nil || fields.id == id else { throw AdminFailure(fixed: "id") }
      let expected = try expected(request, revision(.organisation(id)))
      return try await setOrganisation(id, fields, expected, author, .ok)
    }
    change(router, .delete, "/admin/v1/organisations/:id") { request, parameters, author in
      let id = try parameters.name("id")
      guard let account = AccountPath(organisation: id) else {
        throw AdminFailure(notFound: "organisation \(id)")
      }
      return try await remove(account, request, author)
    }
  }

  /// Removes an account that is not in use.
  private func remove(
    _ account: AccountPath, _ request: Request, _ author: String
  ) async throws -> Response {
    let expected = try expected(request, revision(.account(account)))
    let now = wall()
    // No key is made or moved meanwhile, so none gets an account that is gone.
    try await keys.pauseChanges { keys throws(Failure) in
      let change = AccountChange.removeAccount(
        account, keys: keys.unendedKeys(of: account, at: now).map { "tutti-\($0.id)" })
      do throws(AccountShell.OrderError) {
        _ = try await accounts.change(
          change, expecting: expected, by: ChangeAuthor(name: author, time: now))
      } catch {
        throw AdminFailure(error, isNew: false).failure
      }
    }
    return json(
      Removed(object: account.team == nil ? "organisation" : "team", id: "\(account)"))
  }

  private func setOrganisation(
    _ id: String, _ fields: OrganisationFields, _ expected: ExpectedRevision, _ author: String,
    _ status: HTTPResponse.Status
  ) async throws -> Response {
    let old = expected == .absent ? nil : accounts.read { $0.organisation(id) }
    let revision = try await perform(
      .setOrganisation(
        id: id, name: fields.name ?? old?.name ?? id,
        isPrepaid: fields.isPrepaid ?? old?.isPrepaid ?? false,
        budgets: fields.budgets ?? old?.budgets.map(\.terms) ?? []),
      expected, author)
    return try organisation(id, revision, status)
  }

  private func organisation(
    _ id: String, _ revision: RecordRevision, _ status: HTTPResponse.Status = .ok
  ) throws -> Response {
    let now = wall()
    let found = accounts.read { book in
      book.organisation(id).map { OrganisationJSON($0, in: book, at: now) }
    }
    guard let found else { throw AdminFailure(notFound: "organisation \(id)") }
    return tagged(json(found, status), revision)
  }

  // MARK: - Teams and keys

  private func addTeams(to router: Router<BasicRequestContext>) {
    read(router, "/admin/v1/teams") { request, _ in
      let (limit, after) = try page(request)
      let organisation = request.text("organisation")
      let now = wall()
      let records = accounts.read { $0.teams(of: organisation) }
        .map { (id: "\($0.account)", record: $0) }.filter { $0.id > after }
        .sorted { $0.id < $1.id }
      let found = accounts.read { book in
        records.prefix(limit + 1).map { TeamJSON($0.record, in: book, at: now) }
      }
      return json(Page(data: Array(found.prefix(limit)), hasMore: found.count > limit))
    }
    change(router, .post, "/admin/v1/teams") { request, _, author in
      let fields: TeamFields = try await decode(request)
      guard let id = fields.id else { throw AdminFailure(missing: "id") }
      return try await setTeam(id, fields, .absent, author, .created)
    }
    read(router, "/admin/v1/organisations/:id/teams/:team") { _, parameters in
      let account = try parameters.account()
      return try team(account, revision(.account(account)))
    }
    change(router, .patch, "/admin/v1/organisations/:id/teams/:team") {
      request, parameters, author in
      let fields: TeamFields = try await decode(request)
      let account = try parameters.account()
      guard fields.id == nil || fields.id == account else { throw AdminFailure(fixed: "id") }
      let expected = try expected(request, revision(.account(account)))
      return try await setTeam(account, fields, expected, author, .ok)
    }
    change(router, .delete, "/admin/v1/organisations/:id/teams/:team") {
      request, parameters, author in
      try await remove(try parameters.account(), request, author)
    }
    read(router, "/admin/v1/key-budgets/:id") { _, parameters in
      let key = try parameters.key()
      return keyBudgets(key, accounts.revision(of: .keyBudgets(key)))
    }
    change(router, .put, "/admin/v1/key-budgets/:id") { request, parameters, author in
      let fields: KeyBudgetFields = try await decode(request)
      let key = try parameters.key()
      let present = accounts.revision(of: .keyBudgets(key))
      let revision = try await perform(
        .setKeyBudgets(key: key, budgets: fields.budgets),
        try condition(request, revision: present, tag: (present ?? .unstored).tag), author,
        isNew: false)
      return keyBudgets(key, revision)
    }
  }

  private func setTeam(
    _ account: AccountPath, _ fields: TeamFields, _ expected: ExpectedRevision, _ author: String,
    _ status: HTTPResponse.Status
  ) async throws -> Response {
    let old = expected == .absent ? nil : accounts.read { $0.team(account) }
    let revision = try await perform(
      .setTeam(
        account, name: fields.name ?? old?.name ?? "\(account)",
        budgets: fields.budgets ?? old?.budgets.map(\.terms) ?? []),
      expected, author)
    return try team(account, revision, status)
  }

  private func team(
    _ account: AccountPath, _ revision: RecordRevision, _ status: HTTPResponse.Status = .ok
  ) throws -> Response {
    let now = wall()
    let found = accounts.read { book in
      book.team(account).map { TeamJSON($0, in: book, at: now) }
    }
    guard let found else { throw AdminFailure(notFound: "team \(account)") }
    return tagged(json(found, status), revision)
  }

  private func keyBudgets(_ key: String, _ revision: RecordRevision?) -> Response {
    let now = wall()
    return tagged(
      json(accounts.read { KeyBudgetsJSON(key, in: $0, at: now) }), revision ?? .unstored)
  }

  /// The id of a key, given with or without the prefix `tutti-` that lists show. `nil` means that
  /// no key can have this id, so that budgets for it would limit nothing.
  static func keyID(_ text: String) -> String? {
    let id = text.hasPrefix("tutti-") ? String(text.dropFirst("tutti-".count)) : text
    return KeyID(id)?.description
  }

  // MARK: - Prices

  private func addPrices(to router: Router<BasicRequestContext>) {
    read(router, "/admin/v1/prices") { request, _ in
      let limit = try request.number("limit", in: Self.pages, or: 100)
      let page = accounts.read(\.priceBook).page(
        after: try request.pricePlace, of: request.text("model").map { ModelID($0) }, limit: limit)
      return json(
        CursorPage(
          data: page.rows.map { PriceRow.Text($0) },
          next: page.hasMore ? page.rows.last?.place.cursor : nil))
    }
    change(router, .post, "/admin/v1/prices") { request, _, author in
      let fields: PriceFields = try await decode(request)
      let row = PriceRow(
        model: fields.model, host: fields.host,
        effectiveFrom: fields.effectiveFrom ?? wall() + Self.priceDelay, price: fields.price)
      _ = try await perform(.addPrice(row), .any, author)
      return tagged(json(PriceRow.Text(row), .created), row)
    }
    change(router, .delete, "/admin/v1/prices") { request, _, author in
      let row = try priceRow(request)
      guard request.expectedTags?.contains(row.tag) ?? true else {
        throw AdminFailure(changedTo: row.tag)
      }
      _ = try await perform(.withdrawPrice(row), .any, author, isNew: false)
      return json(PriceRow.Text(row, isWithdrawn: true))
    }
    read(router, "/admin/v1/tariff") { _, _ in tariff }
    change(router, .patch, "/admin/v1/tariff") { request, _, author in
      let fields: TariffFields = try await decode(request)
      let revisions = tariffRevisions
      let unknownPrice = try condition(
        request, revision: revisions.unknownPrice, tag: revisions.tag)
      let payoutRule = try condition(request, revision: revisions.payoutRule, tag: revisions.tag)
      let changes = [
        fields.unknownPrice.map {
          AccountShell.ExpectedChange(change: .setUnknownPrice($0), expected: unknownPrice)
        },
        fields.payoutRule.map {
          AccountShell.ExpectedChange(change: .setPayoutRule($0), expected: payoutRule)
        },
      ].compactMap(\.self)
      guard !changes.isEmpty else { return tariff }
      do throws(AccountShell.OrderError) {
        _ = try await accounts.change(changes, by: ChangeAuthor(name: author, time: wall()))
      } catch {
        if case .conflict = error { throw AdminFailure(changedTo: tariffRevisions.tag) }
        throw AdminFailure(error, isNew: false)
      }
      return tariff
    }
  }

  /// The price that a request names by `model`, `host` and `effective_from_ms`.
  private func priceRow(_ request: Request) throws -> PriceRow {
    guard let model = request.text("model") else { throw AdminFailure(missing: "model") }
    guard let start = try request.time("effective_from_ms") else {
      throw AdminFailure(missing: "effective_from_ms")
    }
    let place = PricePlace(
      model: ModelID(model), host: request.text("host").map { HostID($0) }, effectiveFrom: start)
    guard let row = accounts.read(\.priceBook).row(at: place) else {
      throw AdminFailure(notFound: "price with this model, host and start")
    }
    return row
  }

  private var tariff: Response {
    // The tag is read before the tariff, so that the tag is never newer than the tariff.
    let tag = tariffRevisions.tag
    var response = json(accounts.read { TariffJSON($0) })
    response.headers[.eTag] = tag
    return response
  }

  /// Revisions of the tariff's two records. `nil` means that a record was never stored.
  private struct TariffRevisions {
    let unknownPrice: RecordRevision?
    let payoutRule: RecordRevision?

    var tag: String { "\"\(unknownPrice ?? .unstored).\(payoutRule ?? .unstored)\"" }
  }

  private var tariffRevisions: TariffRevisions {
    TariffRevisions(
      unknownPrice: accounts.revision(of: .unknownPrice),
      payoutRule: accounts.revision(of: .payoutRule))
  }

  // MARK: - Helpers

  func read(
    _ router: Router<BasicRequestContext>, _ path: RouterPath,
    _ handler: @escaping @Sendable (Request, Parameters) async throws -> Response
  ) {
    router.get(path) { request, context in
      await answer {
        _ = try await authorise(request, .read)
        return try await handler(request, context.parameters)
      }
    }
  }

  /// Adds a route that reads from the store. Admins take turns at the store.
  func readStore(
    _ router: Router<BasicRequestContext>, _ path: RouterPath,
    _ handler: @escaping @Sendable (Request) async throws -> Response
  ) {
    router.get(path) { request, _ in
      await answer {
        let turn = try await storeRead(try await authorise(request, .read))
        defer { withExtendedLifetime(turn) {} }
        return try await handler(request)
      }
    }
  }

  func change(
    _ router: Router<BasicRequestContext>, _ method: HTTPRequest.Method, _ path: RouterPath,
    _ handler: @escaping @Sendable (Request, Parameters, String) async throws -> Response
  ) {
    router.on(path, method: method) { request, context in
      await answer {
        let author = try await authorise(request, .change)
        return try await handler(request, context.parameters, author)
      }
    }
  }

  func answer(_ work: () async throws -> Response) async -> Response {
    do {
      return try await work()
    } catch let failure as AdminFailure {
      return failure.response
    } catch let failure as Failure {
      return AdminFailure(failure).response
    } catch {
      return jsonError(Failure(.internalError, "\(error)"))
    }
  }

  /// - Parameter isNew: whether the change makes a record. `nil` means that the change makes one if
  ///   the record is expected to be absent.
  private func perform(
    _ change: AccountChange, _ expected: ExpectedRevision, _ author: String, isNew: Bool? = nil
  ) async throws -> RecordRevision {
    do throws(AccountShell.OrderError) {
      return try await accounts.change(
        change, expecting: expected, by: ChangeAuthor(name: author, time: wall()))
    } catch {
      throw AdminFailure(error, isNew: isNew ?? (expected == .absent))
    }
  }

  private func revision(_ subject: RecordSubject) throws -> RecordRevision {
    guard let revision = accounts.revision(of: subject) else {
      throw AdminFailure(notFound: subject.text)
    }
    return revision
  }

  /// Returns the present revision as the one that a change expects.
  ///
  /// - Throws: `AdminFailure` if the request has `If-Match` without the revision's ETag.
  private func expected(
    _ request: Request, _ current: RecordRevision
  ) throws -> ExpectedRevision {
    guard request.expectedTags?.contains(current.tag) ?? true else {
      throw AdminFailure(changedTo: current.tag)
    }
    return .revision(current)
  }

  /// The revision that a change expects, for a record that has a default value.
  ///
  /// - Parameters:
  ///   - revision: the present revision. `nil` means that the record was never stored.
  ///   - tag: the present ETag.
  private func condition(
    _ request: Request, revision: RecordRevision?, tag: String
  ) throws -> ExpectedRevision {
    guard let tags = request.expectedTags else { return .any }
    guard tags.contains(tag) else { throw AdminFailure(changedTo: tag) }
    return revision.map { .revision($0) } ?? .absent
  }

  private func tagged(_ response: Response, _ revision: RecordRevision) -> Response {
    var response = response
    response.headers[.eTag] = revision.tag
    return response
  }

  private func tagged(_ response: Response, _ row: PriceRow) -> Response {
    var response = response
    response.headers[.eTag] = row.tag
    return response
  }

  private func page(_ request: Request) throws -> (limit: Int, after: String) {
    (try request.number("limit", in: Self.pages, or: 100), request.text("after") ?? "")
  }

  func decode<Fields: RequestFields>(_ request: Request) async throws -> Fields {
    // The server has already refused a larger body.
    let buffer = try await request.body.collect(upTo: 64 * 1024)
    do {
      return try JSONDecoder().decode(Fields.self, from: Data(buffer.readableBytesView))
    } catch let error as DecodingError {
      throw AdminFailure(error)
    }
  }
}

extension PriceRow {
  /// The ETag of a price. A price has no revision, because it is never changed.
  fileprivate var tag: String {
    "\"\(price.input.credits)/\(price.cachedInput.credits)/\(price.output.credits)\""
  }
}

extension RecordSubject {
  fileprivate static func keyBudgets(_ key: String) -> RecordSubject {
    AccountRecord.keyBudgets(KeyBudgetsRecord(key: key, budgets: [])).subject ?? .key(key)
  }

  fileprivate static var unknownPrice: RecordSubject { .setting(AccountRecord.unknownPriceName) }

  fileprivate static var payoutRule: RecordSubject { .setting(AccountRecord.payoutRuleName) }

  fileprivate var text: String {
    switch self {
    case .key(let id): "key \(id)"
    case .organisation(let id): "organisation \(id)"
    case .team(let team, let organisation): "team \(organisation)/\(team)"
    case .setting(let name): "setting \(name)"
    case .model(let name): "model \(name)"
    }
  }
}

extension Parameters {
  fileprivate func name(_ name: Substring) throws -> String {
    guard let text = get(String(name)) else { throw AdminFailure(missing: String(name)) }
    return text.removingPercentEncoding ?? text
  }

  fileprivate func key() throws -> String {
    // The error does not repeat the text, because the text may be a whole key.
    guard let key = AccountAPI.keyID(try name("id")) else {
      throw AdminFailure(notFound: "key with this id")
    }
    return key
  }

  fileprivate func account() throws -> AccountPath {
    let (organisation, team) = (try name("id"), try name("team"))
    guard let account = AccountPath(organisation: organisation, team: team) else {
      throw AdminFailure(notFound: "team \(organisation)/\(team)")
    }
    return account
  }
}
