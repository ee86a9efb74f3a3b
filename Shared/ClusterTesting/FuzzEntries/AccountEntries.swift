import Access
import ClusterModel
import CommandLineCore
import GatewayCore
import HostModel
import Money
import RegistryCore
import Text

/// Texts about keys, accounts and records, from clients and admins.
enum AccountEntries {
  private static func lines(_ bytes: [UInt8]) -> [String] {
    bytes.split(separator: 0x0A, maxSplits: 64).map { String(decoding: $0, as: UTF8.self) }
  }

  // MARK: - Keys

  /// The table of a cluster with one key, whose random bytes are all 1.
  private static let table: AccessTable? = {
    guard let pepper = KeyPepper(0..<32), let account = AccountPath("acme"),
      let key = APIKey(random: Array(repeating: 1, count: APIKey.randomByteCount))
    else { return nil }
    return AccessTable(
      version: AccessTableVersion(epoch: 1, revision: 1), isOpen: false, pepper: pepper,
      records: [
        KeyRecord(
          id: key.id, name: "k", account: account, hash: KeyHash(of: key, pepper: pepper),
          scopes: [.chat])
      ])
  }()

  /// Each line is one header, or the query of the URL. The line's first byte chooses which.
  static func key(_ bytes: [UInt8]) {
    var (authorization, keys, query): ([String], [String], String) = ([], [], "")
    for line in lines(bytes) {
      guard let first = line.utf8.first else { continue }
      let value = String(line.dropFirst())
      switch first % 3 {
      case 0: authorization.append(value)
      case 1: keys.append(value)
      default: query = value
      }
      _ = HopHeader.parse(value)
      _ = try? UsageAnswer.days([("days", value)])
      _ = ForwardedHeaders.none.select { _ in value }
      let tag = ClientTag.tag(authorization: value, address: nil)
      precondition([0, 16].contains(tag.utf8.count), "a client's tag has 16 digits")
    }
    let presented = PresentedKey(authorization: authorization, apiKeys: keys, query: query)
    if case .key(let key) = presented {
      precondition(APIKey(key.revealed) == key, "a key changed")
      precondition(
        !"\(key)".hasSuffix(String(key.revealed.utf8.suffix(8)) ?? "-"), "a key is shown")
    }
    guard let table else { return }
    switch table.check(presented, for: AccessNeed(.chat), at: 0) {
    case .open: preconditionFailure("a cluster with keys is open")
    case .allowed(let record): precondition(table[record.id] != nil, "an unknown key is allowed")
    case .refused(let refusal):
      precondition(refusal.failure.message.utf8.count < 512, "a refusal repeats the request")
    }
  }

  // MARK: - The admin API

  /// Reads each line as every kind of text in requests to the admin API.
  static func admin(_ bytes: [UInt8]) {
    let lines = lines(bytes)
    for line in lines {
      read(line)
      names(line)
    }
    let overrides = RuntimeOverrides(
      texts: lines.compactMap { line in
        line.firstIndex(of: "=").map { (String(line[..<$0]), String(line[$0...].dropFirst())) }
      })
    precondition(RuntimeOverrides(texts: overrides.texts) == overrides, "settings changed")
    if let tags = EntityTags.parse(ifMatch: lines) {
      precondition(tags.allSatisfy { $0.utf8.count > 2 }, "an entity tag is empty")
    }
  }

  /// Reads values, and checks that their text form gives the same value again.
  private static func read(_ text: String) {
    if let amount = try? MicroCredits(credits: text) {
      precondition((try? MicroCredits(credits: amount.credits)) == amount, "an amount changed")
    }
    if let date = UTCDate(text) {
      precondition(UTCDate(milliseconds: date.milliseconds) == date, "a date changed")
    }
    if let account = AccountPath(text) {
      precondition(AccountPath("\(account)") == account, "an account changed")
    }
    if let id = KeyID(text) { precondition(KeyID("\(id)") == id, "a key's id changed") }
    for setting in RuntimeSetting.allCases {
      if let value = setting.value(text) {
        precondition(setting.allows(value), "a setting has a value that it does not allow")
      }
    }
    _ = try? EligibilityRules(minimumVersions: [text])
    PostedNote.read(text)
  }

  private static func names(_ text: String) {
    let words = text.split(separator: " ").map(String.init)
    if let tags = HostTags.checked(words) {
      precondition(HostTags.checked(tags) == tags, "tags changed")
      _ = HostPools(tags).summary
    }
    let model = ModelID(text)
    var work = 0
    _ = NearNames.near(text, among: ["llama", "qwen", text], work: &work)
    precondition(work < 1 << 20, "a name is compared too long")
    let patch = ModelPatch(
      standsFor: words.map { ModelID($0) }, hosts: words.map { HostID($0) }, hostPools: words,
      minimumVersions: words)
    guard let change = try? ModelRegistry().patch(model, patch), let record = change.record else {
      return
    }
    precondition(ModelRegistry.isName(record.id), "a model's name is not one")
    var hosts = HostRegistry(epoch: 1, now: .zero)
    _ = hosts.setModelRules(ModelRules([record]))
  }

  // MARK: - Cluster files

  static func apply(_ bytes: [UInt8]) {
    do throws(ProcessFailure) {
      let file = try ClusterFile(text: String(decoding: bytes, as: UTF8.self), path: "c.yaml")
      let plan = try ClusterPlan(from: ClusterState(), to: file, prune: true, now: 0)
      _ = PlanText.lines(of: plan)
    } catch {
      precondition(error.message.utf8.count < 64 << 10, "mistakes repeat the file")
    }
  }
}

/// Reads the note of a transaction as `tutti ledger verify` does.
private enum PostedNote {
  static func read(_ note: String) {
    let entries = [
      LedgerEntry(account: .issued, amount: MicroCredits(-1)),
      LedgerEntry(account: .margin, amount: MicroCredits(1)),
    ]
    guard
      let transaction = try? LedgerTransaction(
        id: "t", kind: .settle, time: 0, entries: entries, note: note)
    else { return }
    var audit = LedgerAudit()
    audit.add(transaction)
    audit.compare([:])
  }
}
