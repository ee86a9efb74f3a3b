import Access
import ClusterModel

/// A key whose bytes are derived from a number.
func sampleKey(_ number: UInt64) throws -> APIKey {
  var rng = SplitMix64(seed: number)
  return try unwrap(APIKey(random: (0..<48).map { _ in UInt8.random(in: 0...255, using: &rng) }))
}

func samplePepper() throws -> KeyPepper { try unwrap(KeyPepper(100..<132)) }

func sampleRecord(
  _ key: APIKey, scopes: Set<AccessScope> = [.chat], permissions: KeyPermissions = .all,
  limits: KeyLimits = .unlimited, state: KeyState = .active, expiresAt: WallMilliseconds? = nil,
  graceUntil: WallMilliseconds? = nil
) throws -> KeyRecord {
  KeyRecord(
    id: key.id, name: "test", account: try unwrap(AccountPath("acme/research")),
    hash: KeyHash(of: key, pepper: try samplePepper()), scopes: scopes, permissions: permissions,
    limits: limits, state: state, expiresAt: expiresAt, graceUntil: graceUntil)
}

func sampleTable(
  _ records: [KeyRecord], isOpen: Bool = false, epoch: UInt64 = 1, revision: UInt64 = 1
) throws -> AccessTable {
  AccessTable(
    version: AccessTableVersion(epoch: epoch, revision: revision), isOpen: isOpen,
    pepper: try samplePepper(), records: records)
}

func seconds(_ count: Int) -> Instant { Instant(sinceStart: .seconds(count)) }

struct MissingSample: Error {}

private func unwrap<Value>(_ value: Value?) throws -> Value {
  guard let value else { throw MissingSample() }
  return value
}
