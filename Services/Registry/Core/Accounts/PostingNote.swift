internal import Access
internal import ClusterModel
internal import Money
internal import Text

/// Note of a ledger transaction for a lease or a settlement, as one line of JSON.
///
/// It has all facts from which a restarted registry rebuilds the posting, the spending of budgets
/// and the usage of keys. Amounts and unsigned numbers are strings, because many readers of JSON
/// round large numbers.
struct PostingNote: Hashable, Sendable {
  enum Change: Hashable {
    case hold(MicroCredits, ask: UInt64)
    case release(MicroCredits, total: MicroCredits)
    case end(MicroCredits)
    case expire(MicroCredits)
    case settle(Settled)
  }

  struct Settled: Hashable {
    var settlement: LeaseSettlement
    var charged: MicroCredits
    var toMargin: MicroCredits
  }

  /// Facts about a settlement, for people and for the usage of the key.
  struct Details: Hashable {
    var trace: String
    var model: ModelID
    var admittedAt: Int64
    var usage: TokenUsage
    /// Reason for which the gateway's report could not be billed. `nil` means that it was billed.
    var problem: String?

    /// Name of the model, cut to the length that the ledger keeps.
    var modelName: String { model.name.cut(toBytes: 256) }
  }

  var lease: LeaseID
  var key: AccountID
  /// Account of the key when the transaction was made. `nil` means that the registry did not know
  /// the key.
  var account: AccountPath?
  var change: Change
  /// Details of a settlement. `nil` means that the posting is no settlement, or that its note lacks
  /// them.
  var details: Details?

  init(_ posting: LeasePosting, account: AccountPath?, _ details: Details? = nil) {
    lease = posting.lease
    key = posting.key
    self.account = account
    self.details = details
    change =
      switch posting.change {
      case .hold(let amount, let ask): .hold(amount, ask: ask)
      case .release(let amount, let total): .release(amount, total: total)
      case .end(let amount): .end(amount)
      case .expire(let amount): .expire(amount)
      case .settle(let settlement, let charged, let toMargin):
        .settle(Settled(settlement: settlement, charged: charged, toMargin: toMargin))
      }
  }

  var posting: LeasePosting {
    let change: LeasePosting.Change =
      switch change {
      case .hold(let amount, let ask): .hold(amount, ask: ask)
      case .release(let amount, let total): .release(amount, total: total)
      case .end(let amount): .end(amount)
      case .expire(let amount): .expire(amount)
      case .settle(let settled):
        .settle(settled.settlement, charged: settled.charged, toMargin: settled.toMargin)
      }
    return LeasePosting(lease: lease, key: key, change)
  }

  // MARK: - JSON

  var text: String {
    var members = MemberWriter()
    members.add("gateway", lease.gateway.name)
    members.add("incarnation", String(lease.gateway.incarnation, radix: 16))
    members.add("lease", lease.number)
    members.add("key", key.name)
    if let account { members.add("account", account.description) }
    switch change {
    case .hold(let amount, let ask):
      members.add("hold", amount)
      members.add("ask", ask)
    case .release(let amount, let total):
      members.add("release", amount)
      members.add("total", total)
    case .end(let amount): members.add("end", amount)
    case .expire(let amount): members.add("expire", amount)
    case .settle(let settled):
      members.add("number", settled.settlement.number)
      members.add("request", settled.settlement.request)
      members.add("held", settled.settlement.hold)
      members.add("billed", settled.settlement.billed)
      members.add("charged", settled.charged)
      members.add("to_margin", settled.toMargin)
    }
    details?.add(to: &members)
    return members.text
  }

  /// Reads a note. `nil` means that the transaction is no posting of a lease, or that its note is
  /// damaged.
  init?(_ text: String) {
    guard let reader = NoteReader(text), let gateway = reader.text("gateway"),
      let incarnation = reader.text("incarnation").flatMap({ UInt64($0, radix: 16) }),
      let number = reader.number("lease"), let key = reader.text("key")
    else { return nil }
    lease = LeaseID(gateway: PeerID(name: gateway, incarnation: incarnation), number: number)
    self.key = AccountID(key)
    account = reader.text("account").flatMap { AccountPath($0) }
    if let amount = reader.amount("hold"), let ask = reader.number("ask"),
      account != nil
    {
      change = .hold(amount, ask: ask)
    } else if let amount = reader.amount("release"), let total = reader.amount("total") {
      change = .release(amount, total: total)
    } else if let amount = reader.amount("end") {
      change = .end(amount)
    } else if let amount = reader.amount("expire") {
      change = .expire(amount)
    } else if let number = reader.number("number"), let request = reader.number("request"),
      let hold = reader.amount("held"), let billed = reader.amount("billed"),
      let charged = reader.amount("charged"), let toMargin = reader.amount("to_margin")
    {
      change = .settle(
        Settled(
          settlement: LeaseSettlement(
            lease: lease, key: self.key, number: number, request: request, hold: hold,
            billed: billed),
          charged: charged, toMargin: toMargin))
      details = Details(reader)
    } else {
      return nil
    }
  }
}

extension PostingNote.Details {
  fileprivate init?(_ reader: NoteReader) {
    guard let model = reader.text("model"), let prompt = reader.count("prompt_tokens"),
      let completion = reader.count("completion_tokens"),
      let usage = try? TokenUsage(
        prompt: prompt, cached: reader.count("cached_tokens") ?? 0, completion: completion)
    else { return nil }
    self.model = ModelID(model)
    self.usage = usage
    trace = reader.text("trace") ?? ""
    admittedAt = reader.count("admitted_at_ms") ?? 0
    problem = reader.text("problem")
  }

  fileprivate func add(to members: inout MemberWriter) {
    members.add("trace", trace.cut(toBytes: 64))
    members.add("model", modelName)
    members.add("admitted_at_ms", integer: admittedAt)
    members.add("prompt_tokens", integer: usage.prompt)
    members.add("cached_tokens", integer: usage.cached)
    members.add("completion_tokens", integer: usage.completion)
    if let problem { members.add("problem", problem) }
  }
}

/// Writes the members of a note directly as bytes. Each request has a note, so intermediate JSON
/// values would cost too much.
private struct MemberWriter {
  private var bytes: [UInt8]

  init() {
    bytes = [UInt8(ascii: "{")]
    bytes.reserveCapacity(512)
  }

  var text: String { String(decoding: bytes + [UInt8(ascii: "}")], as: UTF8.self) }

  mutating func add(_ name: String, _ value: String) {
    begin(name)
    JSON.appendString(value, to: &bytes)
  }

  /// Adds a number as a string.
  mutating func add(_ name: String, _ number: UInt64) {
    begin(name)
    bytes.append(UInt8(ascii: "\""))
    append(number)
    bytes.append(UInt8(ascii: "\""))
  }

  mutating func add(_ name: String, _ amount: MicroCredits) {
    begin(name)
    bytes.append(UInt8(ascii: "\""))
    bytes += amount.credits.utf8
    bytes.append(UInt8(ascii: "\""))
  }

  mutating func add(_ name: String, integer number: Int64) {
    begin(name)
    if number < 0 { bytes.append(UInt8(ascii: "-")) }
    append(number.magnitude)
  }

  private mutating func begin(_ name: String) {
    if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    bytes.append(UInt8(ascii: "\""))
    bytes += name.utf8
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
  }

  private mutating func append(_ number: UInt64) { bytes += String(number).utf8 }
}

/// Reads members of a note.
private struct NoteReader {
  private let document: JSONDocument

  init?(_ text: String) {
    // A note of an admin need not be JSON.
    guard text.utf8.first == UInt8(ascii: "{"),
      let document = try? JSONDocument(validating: Array(text.utf8), maximumDepth: 4)
    else { return nil }
    self.document = document
  }

  func text(_ name: String) -> String? {
    document.value(name, in: document.root).flatMap { document.string($0) }
  }

  /// Value of a member that is a JSON number. `nil` means that there is no such member.
  func count(_ name: String) -> Int64? {
    document.value(name, in: document.root).flatMap { document.integer($0) }.map { Int64($0) }
  }

  func number(_ name: String) -> UInt64? { text(name).flatMap { UInt64($0) } }

  func amount(_ name: String) -> MicroCredits? {
    text(name).flatMap { try? MicroCredits(credits: $0) }
  }
}
