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

/// Organisations, teams, budgets and prices in `/admin/v1`. OpenAPI+Accounts.swift describes them.
struct AccountAPI: Sendable {
  /// Whether a request changes something.
  enum Purpose: Sendable {
    case read, change
  }

  let accounts: AccountShell
  /// Returns the name of the admin for the audit log, or throws.
  let authorise: @Sendable (Request, Purpose) async throws -> String
  /// Waits until an admin may read from the store.
  let storeRead: @Sendable (_ author: String) async throws -> ClientTurns.Turn
  /// A proof of the ledger replays all of it, in some 100 MiB.
  let proofs = ClientTurns(limit: 1)
  /// Milliseconds since 1970.
  let wall: @Sendable () -> Int64

  private static let pages = 1...1_000
  /// A price starts this much later than its request if it names no time.
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
      // Sorted without the lock, for which settlements wait.
      let records = accounts.read(\.organisations).filter { $0.id > after }.sorted { $0.id < $1.id }
      let found = accounts.read { book in
        records.prefix(limit + 1).map { OrganisationJSON($0, in: book, at: now) }
      }
      return json(Page(data: Array(found.prefix(limit)), hasMore: found.count > limit))
    }
    change(router, .post, "/admin/v1/organisations") { request, _, author in
      let fields: OrganisationFields = try await decode(request)
      guard let id = fields.id else { throw AccountFailure(missing: "id") }
      return try await setOrganisation(id, fields, .absent, author, .created)
    }
    read(router, "/admin/v1/organisations/:id") { _, parameters in
      let id = try parameters.name("id")
      return try organisation(id, revision(.organisation(id)))
    }
    change(router, .patch, "/admin/v1/organisations/:id") { request, parameters, author in
      let fields: OrganisationFields = try await decode(request)
      let id = try parameters.name("id")
      guard fields.id == nil || fields.id == id else { throw AccountFailure(fixed: "id") }
      let expected = try expected(request, revision(.organisation(id)))
      return try await setOrganisation(id, fields, expected, author, .ok)
    }
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
    guard let found else { throw AccountFailure(notFound: "organisation \(id)") }
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
      guard let id = fields.id else { throw AccountFailure(missing: "id") }
      return try await setTeam(id, fields, .absent, author, .created)
    }
    read(router, "/admin/v1/organisations/:id/teams/:team") { _, parameters in
      let account = try parameters.account()
      return try team(account, revision(.team(account)))
    }
    change(router, .patch, "/admin/v1/organisations/:id/teams/:team") {
      request, parameters, author in
      let fields: TeamFields = try await decode(request)
      let account = try parameters.account()
      guard fields.id == nil || fields.id == account else { throw AccountFailure(fixed: "id") }
      let expected = try expected(request, revision(.team(account)))
      return try await setTeam(account, fields, expected, author, .ok)
    }
    read(router, "/admin/v1/key-budgets/:id") { _, parameters in
      let key = try parameters.key()
      return keyBudgets(key, accounts.revision(of: .keyBudgets(key)))
    }
    change(router, .put, "/admin/v1/key-budgets/:id") { request, parameters, author in
      let fields: KeyBudgetFields = try await decode(request)
      let key = try parameters.key()
      let revision = try await perform(
        .setKeyBudgets(key: key, budgets: fields.budgets),
        try condition(request, .keyBudgets(key)), author, isNew: false)
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
    guard let found else { throw AccountFailure(notFound: "team \(account)") }
    return tagged(json(found, status), revision)
  }

  private func keyBudgets(_ key: String, _ revision: RecordRevision?) -> Response {
    let now = wall()
    return tagged(
      json(accounts.read { KeyBudgetsJSON(key, in: $0, at: now) }), revision ?? .unstored)
  }

  /// The id of a key, also with the prefix that lists show. `nil` means that no key can have it:
  /// budgets of such a key would limit nothing.
  static func keyID(_ text: String) -> String? {
    let id = text.hasPrefix("tutti-") ? String(text.dropFirst("tutti-".count)) : text
    return KeyID(id)?.description
  }

  // MARK: - Prices

  private func addPrices(to router: Router<BasicRequestContext>) {
    read(router, "/admin/v1/prices") { request, _ in
      let limit = try request.number("limit", in: Self.pages, or: 100)
      let offset = try request.number("offset", in: 0...Limits.priceRows.value, or: 0)
      let model = request.text("model")
      let rows = accounts.read(\.priceBook).allRows.filter {
        model == nil || $0.model.name == model
      }
      let rest = rows.dropFirst(offset)
      return json(
        Page(data: rest.prefix(limit).map { PriceRow.Text($0) }, hasMore: rest.count > limit))
    }
    change(router, .post, "/admin/v1/prices") { request, _, author in
      let fields: PriceFields = try await decode(request)
      let row = PriceRow(
        model: fields.model, host: fields.host,
        effectiveFrom: fields.effectiveFrom ?? wall() + Self.priceDelay, price: fields.price)
      _ = try await perform(.addPrice(row), .any, author)
      return json(PriceRow.Text(row), .created)
    }
    read(router, "/admin/v1/tariff") { _, _ in tariff }
    change(router, .patch, "/admin/v1/tariff") { request, _, author in
      let fields: TariffFields = try await decode(request)
      let policy = try condition(request, .unknownPrice, tag: tariffTag)
      let rule = try condition(request, .payoutRule, tag: tariffTag)
      if let value = fields.unknownPrice {
        _ = try await perform(.setUnknownPrice(value), policy, author, isNew: false)
      }
      if let value = fields.payoutRule {
        _ = try await perform(.setPayoutRule(value), rule, author, isNew: false)
      }
      return tariff
    }
  }

  private var tariff: Response {
    // Before the tariff is read, so that the tag is never newer.
    let tag = tariffTag
    var response = json(accounts.read { TariffJSON($0) })
    response.headers[.eTag] = tag
    return response
  }

  /// The tariff's two records have revisions of their own.
  private var tariffTag: String {
    let revisions = [RecordSubject.unknownPrice, .payoutRule].map {
      "\(accounts.revision(of: $0) ?? .unstored)"
    }
    return "\"\(revisions.joined(separator: "."))\""
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

  /// Adds a route that reads from the store. Admins take turns.
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
    } catch let failure as AccountFailure {
      return failure.response
    } catch let failure as AdminFailure {
      return failure.response
    } catch let failure as Failure {
      return jsonError(failure)
    } catch {
      return jsonError(Failure(.internalError, "\(error)"))
    }
  }

  /// - Parameter isNew: whether the change makes a record. `nil` means that it does if the record
  ///   is expected to be absent.
  private func perform(
    _ change: AccountChange, _ expected: ExpectedRevision, _ author: String, isNew: Bool? = nil
  ) async throws -> RecordRevision {
    do throws(AccountShell.OrderError) {
      return try await accounts.change(
        change, expecting: expected, by: ChangeAuthor(name: author, time: wall())
      ).revision
    } catch {
      throw error.answer(isNew: isNew ?? (expected == .absent))
    }
  }

  private func revision(_ subject: RecordSubject) throws -> RecordRevision {
    guard let revision = accounts.revision(of: subject) else {
      throw AccountFailure(notFound: subject.text)
    }
    return revision
  }

  /// The revision that a change expects: that of `If-Match`, otherwise the one that was read now.
  private func expected(
    _ request: Request, _ current: RecordRevision
  ) throws -> ExpectedRevision {
    guard request.expectedTags?.contains(current.tag) ?? true else {
      throw AccountFailure(changed: current.tag)
    }
    return .revision(current)
  }

  /// The revision that a change of a record expects that always has a value, also if it was never
  /// stored.
  ///
  /// - Parameter tag: the present ETag. `nil` means that of the record's revision.
  private func condition(
    _ request: Request, _ subject: RecordSubject, tag: String? = nil
  ) throws -> ExpectedRevision {
    guard let tags = request.expectedTags else { return .any }
    let revision = accounts.revision(of: subject)
    let tag = tag ?? (revision ?? .unstored).tag
    guard tags.contains(tag) else { throw AccountFailure(changed: tag) }
    return revision.map { .revision($0) } ?? .absent
  }

  private func tagged(_ response: Response, _ revision: RecordRevision) -> Response {
    var response = response
    response.headers[.eTag] = revision.tag
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
      throw AccountFailure(error)
    }
  }
}

/// An error of accounts and money with its status.
struct AccountFailure: Error {
  let status: HTTPResponse.Status
  let code: String
  let message: String
  let param: String?

  private init(
    _ status: HTTPResponse.Status, _ code: String, _ message: String, param: String? = nil
  ) {
    self.status = status
    self.code = code
    self.message = message
    self.param = param
  }

  init(invalid message: String, param: String? = nil) {
    self.init(.badRequest, "invalid_request_error", message, param: param)
  }

  init(missing name: String) { self.init(invalid: "\(name) is missing.", param: name) }

  init(fixed name: String) {
    self.init(invalid: "\(name) cannot be changed; create another record.", param: name)
  }

  init(notFound what: String) {
    self.init(.notFound, "not_found", "There is no \(what.cut(toBytes: 200)).")
  }

  /// - Parameter tag: the record's present ETag.
  init(changed tag: String) {
    self.init(
      .preconditionFailed, "conflict",
      "Another admin changed the record (its ETag is \(tag)); read it again.")
  }

  /// - Parameters:
  ///   - current: revision of the record. `nil` means that it is absent.
  ///   - isNew: whether the request makes a record.
  fileprivate init(conflictWith current: RecordRevision?, isNew: Bool) {
    if isNew {
      self.init(.conflict, "conflict", "A record with this name exists; use PATCH.")
    } else if let current {
      self.init(changed: current.tag)
    } else {
      self.init(notFound: "such record")
    }
  }

  fileprivate init(_ refusal: AccountRefusal) {
    switch refusal {
    case .repeatedID: self.init(.conflict, "conflict", "\(refusal)", param: "id")
    case .insufficient:
      self.init(.conflict, "insufficient_balance", "\(refusal)", param: "amount")
    default: self.init(invalid: "\(refusal)")
    }
  }

  /// Names the member that cannot be read.
  init(_ error: DecodingError) {
    let (context, reason): (DecodingError.Context, String) =
      switch error {
      case .keyNotFound(let key, let context): (context, "\(key.stringValue) is missing")
      case .typeMismatch(_, let context): (context, "has the wrong type")
      case .valueNotFound(_, let context): (context, "must not be null")
      case .dataCorrupted(let context): (context, context.debugDescription)
      @unknown default:
        (DecodingError.Context(codingPath: [], debugDescription: ""), "cannot be read")
      }
    let path = context.codingPath.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }
      .joined(separator: ".").cut(toBytes: 100)
    self.init(
      invalid: path.isEmpty ? "The body: \(reason)." : "\(path): \(reason).",
      param: path.isEmpty ? nil : path)
  }

  var response: Response {
    body(
      ErrorBody(
        message: message,
        type: status.code < 500 ? "invalid_request_error" : "server_error", param: param,
        code: code
      ).json, status)
  }
}

extension AccountShell.OrderError {
  /// The error that the client gets.
  ///
  /// - Parameter isNew: whether the request makes a record.
  func answer(isNew: Bool) -> any Error {
    switch self {
    case .failed(let failure): failure
    // Clients retry it.
    case .refused(.stale): Failure(.overloaded, "\(AccountRefusal.stale)")
    case .refused(let refusal): AccountFailure(refusal)
    case .conflict(let current): AccountFailure(conflictWith: current, isNew: isNew)
    }
  }
}

extension RecordRevision {
  /// Stands for the revision of a record that was never stored.
  fileprivate static let unstored = RecordRevision(0)

  /// As an ETag.
  fileprivate var tag: String { "\"\(number)\"" }
}

extension RecordSubject {
  fileprivate static func team(_ account: AccountPath) -> RecordSubject {
    .team(account.team ?? "", organisation: account.organisation)
  }

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
    guard let text = get(String(name)) else { throw AccountFailure(missing: String(name)) }
    return text.removingPercentEncoding ?? text
  }

  fileprivate func key() throws -> String {
    // The text is not repeated: it may be a whole key.
    guard let key = AccountAPI.keyID(try name("id")) else {
      throw AccountFailure(notFound: "key with this id")
    }
    return key
  }

  fileprivate func account() throws -> AccountPath {
    let (organisation, team) = (try name("id"), try name("team"))
    guard let account = AccountPath(organisation: organisation, team: team) else {
      throw AccountFailure(notFound: "team \(organisation)/\(team)")
    }
    return account
  }
}

extension Request {
  func text(_ name: String) -> String? {
    uri.queryParameters[name[...]].map { String($0) }
  }

  func number(_ name: String, in range: ClosedRange<Int>, or fallback: Int) throws -> Int {
    guard let text = text(name) else { return fallback }
    guard let number = Int(text), range.contains(number) else {
      throw AccountFailure(
        invalid:
          "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound).",
        param: name)
    }
    return number
  }
}
