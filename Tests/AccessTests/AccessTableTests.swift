import Access
import ClusterModel
import Testing

@Suite("Access table")
struct AccessTableTests {
  private let key: APIKey

  init() throws { key = try sampleKey(1) }

  private func reason(
    _ record: KeyRecord, _ need: AccessNeed = AccessNeed(.chat), at now: WallMilliseconds = 0
  ) throws -> AccessRefusal.Reason? {
    try sampleTable([record]).check(.key(key), for: need, at: now).refusal?.reason
  }

  @Test("a valid key gets its record")
  func allowed() throws {
    let record = try sampleRecord(key)
    let decision = try sampleTable([record]).check(.key(key), for: AccessNeed(.chat), at: 0)
    #expect(decision == .allowed(record))
  }

  @Test("a cluster in which no key was ever created requires none")
  func open() throws {
    let table = try sampleTable([], isOpen: true)
    for presented in [PresentedKey.absent, .unusable(.malformed), .key(key)] {
      #expect(table.check(presented, for: AccessNeed(.adminWrite), at: 0) == .open)
    }
  }

  @Test("a table with keys is never open, and one whose last key was deleted is not open either")
  func notOpen() throws {
    let contradictory = try sampleTable([try sampleRecord(key)], isOpen: true)
    let empty = try sampleTable([])
    for table in [contradictory, empty] {
      #expect(!table.isOpen)
      #expect(table.check(.absent, for: AccessNeed(.chat), at: 0).refusal?.reason == .missing)
    }
  }

  @Test("a wrong secret and an unknown id get the same answer")
  func unknown() throws {
    let table = try sampleTable([try sampleRecord(key)])
    let forged = try #require(
      APIKey("tutti-\(key.id)-\(try sampleKey(2).revealed.split(separator: "-", maxSplits: 2)[2])"))
    #expect(forged.id == key.id)
    for presented in [forged, try sampleKey(3)] {
      let refusal = try #require(
        table.check(.key(presented), for: AccessNeed(.chat), at: 0).refusal)
      #expect(refusal.reason == .unknown)
      #expect(refusal.isFailedAttempt)
      #expect(refusal.failure.message.contains("tutti-\(presented.id) is not valid"))
    }
  }

  @Test("a wrong secret does not disclose that the key is revoked")
  func noOracle() throws {
    let table = try sampleTable([try sampleRecord(key, state: .revoked)])
    let secret = try sampleKey(2).revealed.split(separator: "-", maxSplits: 2)[2]
    let forged = try #require(APIKey("tutti-\(key.id)-\(secret)"))
    let decision = table.check(.key(forged), for: AccessNeed(.chat), at: 0)
    #expect(decision.refusal?.reason == .unknown)
  }

  @Test("disabled and revoked keys are refused")
  func states() throws {
    #expect(try reason(sampleRecord(key, state: .disabled)) == .disabled)
    #expect(try reason(sampleRecord(key, state: .revoked)) == .revoked)
  }

  @Test("a key is valid until the millisecond in which it expires, also if the clock jumps back")
  func expiry() throws {
    let record = try sampleRecord(key, expiresAt: 1_000)
    #expect(try reason(record, at: 999) == nil)
    #expect(try reason(record, at: 1_000) == .expired)
    #expect(try reason(record, at: .max) == .expired)
    #expect(try reason(record, at: .min) == nil)
  }

  @Test("a replaced key is valid until its grace period ends")
  func rotation() throws {
    let record = try sampleRecord(key, graceUntil: 1_000)
    #expect(try reason(record, at: 999) == nil)
    #expect(try reason(record, at: 1_000) == .replaced)
  }

  @Test("a key may do only what its scopes name")
  func scopes() throws {
    let record = try sampleRecord(key, scopes: [.chat, .metrics])
    for scope in AccessScope.allCases {
      let expected: AccessRefusal.Reason? =
        [.chat, .metrics].contains(scope) ? nil : .scope(scope)
      #expect(try reason(record, AccessNeed(scope)) == expected)
    }
  }

  @Test("a key may use only the models, patterns and data policies that it lists")
  func permissions() throws {
    let record = try sampleRecord(
      key,
      permissions: KeyPermissions(
        models: ["small"], patterns: [.ensemble], dataPolicies: [.local]))
    #expect(try reason(record, AccessNeed(.chat, models: ["small"], dataPolicy: .local)) == nil)
    #expect(try reason(record, AccessNeed(.chat, models: ["small", "large"])) == .model)
    #expect(try reason(record, AccessNeed(.chat, pattern: .ensemble)) == nil)
    #expect(try reason(record, AccessNeed(.chat, pattern: .debate)) == .pattern)
    #expect(try reason(record, AccessNeed(.chat, dataPolicy: .any)) == .dataPolicy)
    #expect(record.permissions.pools == .all)
  }

  @Test("a key permits its least strict data policy and all stricter ones")
  func dataPolicies() throws {
    let cases: [(Set<DataPolicy>, DataPolicy)] = [
      ([], .any), ([.any], .any), ([.trusted], .trusted), ([.local], .local),
      ([.local, .any], .any), ([.local, .trusted], .trusted),
    ]
    for (policies, weakest) in cases {
      let record = try sampleRecord(key, permissions: KeyPermissions(dataPolicies: policies))
      #expect(record.permissions.weakestPolicy == weakest)
      #expect(KeyGrant(record).weakestPolicy == weakest)
      for policy in DataPolicy.allCases {
        let expected: AccessRefusal.Reason? = policy < weakest ? .dataPolicy : nil
        #expect(try reason(record, AccessNeed(.chat, dataPolicy: policy)) == expected)
      }
    }
  }

  @Test("every refusal has OpenAI's code and a sentence, and no secret or text of the client")
  func messages() throws {
    let secret = key.revealed.split(separator: "-", maxSplits: 2)[2]
    let permissions = KeyPermissions(
      models: ["m"], patterns: [.debate], dataPolicies: [.local])
    let record = try sampleRecord(key, permissions: permissions)
    let cases: [(KeyRecord, PresentedKey, AccessNeed, Int)] = [
      (record, .absent, AccessNeed(.chat), 401),
      (record, .unusable(.malformed), AccessNeed(.chat), 401),
      (record, .unusable(.several), AccessNeed(.chat), 401),
      (record, .unusable(.inQuery), AccessNeed(.chat), 401),
      (record, .key(try sampleKey(5)), AccessNeed(.chat), 401),
      (try sampleRecord(key, state: .disabled), .key(key), AccessNeed(.chat), 401),
      (try sampleRecord(key, state: .revoked), .key(key), AccessNeed(.chat), 401),
      (try sampleRecord(key, expiresAt: 0), .key(key), AccessNeed(.chat), 401),
      (try sampleRecord(key, graceUntil: 0), .key(key), AccessNeed(.chat), 401),
      (record, .key(key), AccessNeed(.adminRead), 403),
      (record, .key(key), AccessNeed(.chat, models: ["CLIENT-TEXT"]), 403),
      (record, .key(key), AccessNeed(.chat, pattern: .auto), 403),
      (record, .key(key), AccessNeed(.chat, dataPolicy: .any), 403),
    ]
    for (record, presented, need, status) in cases {
      let refusal = try #require(
        try sampleTable([record]).check(presented, for: need, at: 0).refusal)
      let failure = refusal.failure
      #expect(refusal.status == status)
      #expect(failure.code == (status == 401 ? .invalidAPIKey : .permissionDenied))
      #expect(failure.message.hasSuffix("."))
      #expect(!failure.message.contains(secret))
      #expect(!failure.message.contains("CLIENT-TEXT"))
    }
  }

  @Test("only keys that were never valid count as failed attempts")
  func failedAttempts() throws {
    func isFailure(_ record: KeyRecord, _ presented: PresentedKey) throws -> Bool? {
      try sampleTable([record]).check(presented, for: AccessNeed(.chat), at: 0)
        .refusal?.isFailedAttempt
    }
    let record = try sampleRecord(key)
    #expect(try isFailure(record, .absent) == false)
    #expect(try isFailure(record, .unusable(.malformed)) == true)
    #expect(try isFailure(record, .key(sampleKey(9))) == true)
    #expect(try isFailure(sampleRecord(key, expiresAt: 0), .key(key)) == false)
    #expect(try isFailure(sampleRecord(key, scopes: []), .key(key)) == false)
  }

  @Test("a grant permits the needs of its record until its key ends")
  func grant() throws {
    let need = AccessNeed(.chat)
    let endless = KeyGrant(try sampleRecord(key))
    #expect(endless.idText == "\(key.id)")
    #expect(endless.permits(need, at: .max))
    #expect(!endless.permits(AccessNeed(.metrics), at: 0))
    for record in [
      try sampleRecord(key, expiresAt: 10), try sampleRecord(key, graceUntil: 10),
      try sampleRecord(key, expiresAt: 20, graceUntil: 10),
    ] {
      #expect(KeyGrant(record).permits(need, at: 9))
      #expect(!KeyGrant(record).permits(need, at: 10))
    }
    for state in [KeyState.disabled, .revoked] {
      #expect(!KeyGrant(try sampleRecord(key, state: state)).permits(need, at: 0))
    }
  }

  @Test("the first of two records with one id counts")
  func duplicates() throws {
    let table = try sampleTable([
      try sampleRecord(key, state: .revoked), try sampleRecord(key),
    ])
    #expect(table.count == 1)
    #expect(table[key.id]?.state == .revoked)
  }
}
