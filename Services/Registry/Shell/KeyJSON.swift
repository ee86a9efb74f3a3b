import Access
import ClusterModel
import Foundation
import RegistryCore
import Store

/// Facts about a key as JSON, for the admin API and the audit log. The key's hash is not among
/// them.
struct KeyJSON: Codable {
  private var object = "key"
  private let id: KeyID
  private let name: String
  private let account: AccountPath
  private let scopes: [AccessScope]
  private let permissions: KeyPermissions
  private let limits: KeyLimits
  private let state: KeyState
  private let expiresAt: WallMilliseconds?
  private let replaces: KeyID?
  private let graceUntil: WallMilliseconds?
  /// The whole key. `nil` except in the answer to the request that made the key.
  private var key: String?

  init(_ record: KeyRecord, key: APIKey? = nil) {
    id = record.id
    name = record.name
    account = record.account
    scopes = record.scopes.sorted { $0.rawValue < $1.rawValue }
    permissions = record.permissions
    limits = record.limits
    state = record.state
    expiresAt = record.expiresAt
    replaces = record.replaces
    graceUntil = record.graceUntil
    self.key = key?.revealed
  }

  func record(hash: KeyHash) -> KeyRecord {
    KeyRecord(
      id: id, name: name, account: account, hash: hash, scopes: Set(scopes),
      permissions: permissions, limits: limits, state: state, expiresAt: expiresAt,
      replaces: replaces, graceUntil: graceUntil)
  }

  enum CodingKeys: String, CodingKey {
    case object, id, name, account, scopes, permissions, limits, state, replaces, key
    case expiresAt = "expires_at_ms"
    case graceUntil = "grace_until_ms"
  }

  func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(object, forKey: .object)
    try members.encode(id, forKey: .id)
    try members.encode(name, forKey: .name)
    try members.encode(account, forKey: .account)
    try members.encode(scopes, forKey: .scopes)
    try members.encode(permissions, forKey: .permissions)
    try members.encode(limits, forKey: .limits)
    try members.encode(state, forKey: .state)
    // `null` shows that the key does not expire. The member is never absent.
    try members.encode(expiresAt, forKey: .expiresAt)
    try members.encode(replaces, forKey: .replaces)
    try members.encode(graceUntil, forKey: .graceUntil)
    try members.encodeIfPresent(key, forKey: .key)
  }
}

/// Facts about a key as JSON, for the store. The key's hash is stored separately, because the audit
/// log must not contain it.
enum StoredKeyJSON {
  static func text(of record: KeyRecord) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(KeyJSON(record)) else {
      preconditionFailure("a key's record holds no value that JSON lacks")
    }
    return String(decoding: data, as: UTF8.self)
  }

  static func entry(of row: StoredKey) throws(Failure) -> KeyRegistry.Entry {
    guard let hash = KeyHash(row.mac),
      let json = try? JSONDecoder().decode(KeyJSON.self, from: Data(row.json.utf8))
    else { throw damaged(row.id) }
    let record = json.record(hash: hash)
    guard record.id.description == row.id, record.problem == nil else { throw damaged(row.id) }
    return KeyRegistry.Entry(record: record, revision: row.revision.number)
  }

  private static func damaged(_ id: String) -> Failure {
    Failure(
      .storeDamaged,
      "The stored record of key tutti-\(id.cut(toBytes: 64)) cannot be read. Restore the accounts "
        + "from a backup, or start the version that wrote it.")
  }
}
