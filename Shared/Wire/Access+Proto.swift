import Access
import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  func accessTableVersion(
    _ version: AccessTableVersion
  ) -> UnsafeMutablePointer<Tutti__V1__AccessTableVersion> {
    let message = unsafe make(tutti__v1__access_table_version__init)
    unsafe message.pointee.epoch = version.epoch
    unsafe message.pointee.revision = version.revision
    return unsafe message
  }

  func accessPageRequest(page: Int) -> UnsafeMutablePointer<Tutti__V1__AccessPageRequest> {
    let message = unsafe make(tutti__v1__access_page_request__init)
    unsafe message.pointee.page = UInt32(clamping: page)
    return unsafe message
  }

  func accessTablePage(
    _ page: AccessTablePage
  ) -> UnsafeMutablePointer<Tutti__V1__AccessTablePage> {
    let message = unsafe make(tutti__v1__access_table_page__init)
    unsafe message.pointee.epoch = page.version.epoch
    unsafe message.pointee.revision = page.version.revision
    unsafe message.pointee.page = UInt32(clamping: page.page)
    unsafe message.pointee.pages = UInt32(clamping: page.pages)
    unsafe message.pointee.is_open = page.isOpen ? 1 : 0
    unsafe message.pointee.pepper = bytes(page.pepper.revealed)
    unsafe message.pointee.n_records = page.records.count
    unsafe message.pointee.records = array(page.records) { unsafe keyRecord($0) }
    return unsafe message
  }

  private func keyRecord(_ record: KeyRecord) -> UnsafeMutablePointer<Tutti__V1__KeyRecord> {
    let message = unsafe make(tutti__v1__key_record__init)
    unsafe message.pointee.id = text(record.id.description)
    unsafe message.pointee.name = text(record.name)
    unsafe message.pointee.account = text(record.account.description)
    unsafe message.pointee.hash = bytes(record.hash.bytes)
    unsafe message.pointee.n_scopes = record.scopes.count
    unsafe message.pointee.scopes = names(record.scopes.map(\.rawValue))
    let permissions = record.permissions
    unsafe message.pointee.n_models = permissions.models.count
    unsafe message.pointee.models = names(permissions.models.map(\.name))
    unsafe message.pointee.n_patterns = permissions.patterns.count
    unsafe message.pointee.patterns = names(permissions.patterns.map(\.rawValue))
    unsafe message.pointee.n_data_policies = permissions.dataPolicies.count
    unsafe message.pointee.data_policies = names(permissions.dataPolicies.map(\.rawValue))
    unsafe message.pointee.n_host_pools = permissions.hostPools.count
    unsafe message.pointee.host_pools = names(Array(permissions.hostPools))
    if record.limits != .unlimited { unsafe message.pointee.limits = keyLimits(record.limits) }
    unsafe message.pointee.state = text(record.state.rawValue)
    unsafe message.pointee.expires_at_ms = record.expiresAt ?? 0
    unsafe message.pointee.replaces = text(record.replaces?.description ?? "")
    unsafe message.pointee.grace_until_ms = record.graceUntil ?? 0
    return unsafe message
  }

  /// Names are sorted, so that equal records have equal bytes.
  private func names(_ names: [String]) -> UnsafeMutablePointer<ProtobufCBinaryData>? {
    unsafe array(names.sorted()) { unsafe text($0) }
  }

  private func keyLimits(_ limits: KeyLimits) -> UnsafeMutablePointer<Tutti__V1__KeyLimits> {
    let message = unsafe make(tutti__v1__key_limits__init)
    unsafe message.pointee.requests_per_minute = UInt64(clamping: limits.requestsPerMinute ?? 0)
    unsafe message.pointee.requests_per_day = UInt64(clamping: limits.requestsPerDay ?? 0)
    unsafe message.pointee.tokens_per_minute = UInt64(clamping: limits.tokensPerMinute ?? 0)
    unsafe message.pointee.tokens_per_day = UInt64(clamping: limits.tokensPerDay ?? 0)
    unsafe message.pointee.concurrent_requests = UInt64(clamping: limits.concurrentRequests ?? 0)
    return unsafe message
  }
}

extension AccessTablePage {
  init(wire message: Tutti__V1__AccessTablePage) throws(WireError) {
    guard let pepper = KeyPepper(unsafe [UInt8](wire: message.pepper)) else {
      throw .unknownValue(field: "AccessTablePage.pepper")
    }
    self.init(
      version: AccessTableVersion(epoch: unsafe message.epoch, revision: unsafe message.revision),
      page: Int(unsafe message.page), pages: Int(unsafe message.pages),
      isOpen: unsafe message.is_open != 0, pepper: pepper,
      records: try unsafe elements(message.n_records, message.records) {
        record throws(WireError) in try unsafe KeyRecord(wire: record)
      })
  }
}

extension KeyRecord {
  /// - Throws: `WireError.unknownValue` if the registry would not store such a record.
  init(wire message: Tutti__V1__KeyRecord) throws(WireError) {
    guard let hash = KeyHash(unsafe [UInt8](wire: message.hash)) else {
      throw .unknownValue(field: "KeyRecord.hash")
    }
    guard
      let account = AccountPath(try unsafe String(wire: message.account, "KeyRecord.account"))
    else { throw .unknownValue(field: "KeyRecord.account") }
    let expires = unsafe message.expires_at_ms
    let grace = unsafe message.grace_until_ms
    let replaces = try unsafe String(wire: message.replaces, "KeyRecord.replaces")
    self.init(
      id: try KeyID(
        wire: try unsafe String(wire: message.id, "KeyRecord.id"), "KeyRecord.id"),
      name: try unsafe String(wire: message.name, "KeyRecord.name"), account: account, hash: hash,
      scopes: try unsafe values(message.n_scopes, message.scopes, "KeyRecord.scopes"),
      permissions: KeyPermissions(
        models: Set(
          try unsafe texts(message.n_models, message.models, "KeyRecord.models")
            .map { ModelID($0) }),
        patterns: try unsafe values(message.n_patterns, message.patterns, "KeyRecord.patterns"),
        dataPolicies: try unsafe values(
          message.n_data_policies, message.data_policies, "KeyRecord.data_policies"),
        hostPools: Set(
          try unsafe texts(message.n_host_pools, message.host_pools, "KeyRecord.host_pools"))),
      limits: unsafe message.limits == nil
        ? .unlimited
        : try unsafe required(message.limits, "KeyRecord.limits") { limits throws(WireError) in
          unsafe KeyLimits(wire: limits)
        },
      state: try unsafe KeyState(wire: message.state, "KeyRecord.state"),
      expiresAt: expires == 0 ? nil : expires,
      replaces: replaces.isEmpty ? nil : try KeyID(wire: replaces, "KeyRecord.replaces"),
      graceUntil: grace == 0 ? nil : grace)
    guard problem == nil else { throw .unknownValue(field: "KeyRecord") }
  }
}

extension KeyID {
  init(wire text: String, _ field: StaticString) throws(WireError) {
    guard let id = KeyID(text) else { throw .unknownValue(field: "\(field)") }
    self = id
  }
}

extension KeyLimits {
  fileprivate init(wire message: Tutti__V1__KeyLimits) {
    func limit(_ value: UInt64) -> Int? { value == 0 ? nil : Int(clamping: value) }
    self.init(
      requestsPerMinute: limit(unsafe message.requests_per_minute),
      requestsPerDay: limit(unsafe message.requests_per_day),
      tokensPerMinute: limit(unsafe message.tokens_per_minute),
      tokensPerDay: limit(unsafe message.tokens_per_day),
      concurrentRequests: limit(unsafe message.concurrent_requests))
  }
}

/// The values of a repeated `bytes` field. An unknown value is an error. If it were left out, the
/// list could become empty and allow everything.
private func values<Value: RawRepresentable<String> & Hashable>(
  _ count: Int, _ base: UnsafeMutablePointer<ProtobufCBinaryData>?, _ field: StaticString
) throws(WireError) -> Set<Value> {
  var values: Set<Value> = []
  for name in try unsafe texts(count, base, field) {
    guard let value = Value(rawValue: name) else { throw .unknownValue(field: "\(field)") }
    values.insert(value)
  }
  return values
}
