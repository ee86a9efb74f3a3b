internal import ClusterModel
internal import Limits
internal import Money

/// Layout of a slot, in words of 64 bits.
///
/// A slot is one page of memory. It has two copies of its progress, the request, and the names of
/// its hosts with their models. The request is written once, before the first progress that refers
/// to it. Each host's names are written in the same way.
enum SlotLayout {
  static let progress = [0, 16]
  static let progressWords = 16
  static let request = 32
  static let requestWords = 96
  static let hosts = 128
  static let hostWords = 48
  static let words = 512
}

/// A host of an answer, with the host's own name of the model. `nil` means that the names are too
/// long for the slot.
struct SlotHost: Hashable, Sendable {
  let host: HostID
  let model: ModelID?
}

/// The part of a slot that changes with every token.
///
/// A change is written over the older of the two copies. If a process dies during the write, the
/// other copy is intact, and the partial copy does not match its checksum.
struct SlotProgress: Equatable, Sendable {
  enum State: UInt64, Sendable {
    case free, running, finished
  }

  /// The word `state` has the state in its lowest 8 bits, and the settlement number above them.
  private static let stateBits: UInt64 = 8
  /// The word `cachedTokensAndHosts` has the number of hosts in its lowest 8 bits, and the cached
  /// tokens above them.
  private static let hostBits: UInt64 = 8
  /// A host's word has three fields. The lowest 32 bits are the contributed tokens, the next 29
  /// bits the generated tokens, and the highest 3 bits the role.
  private static let roleShift: UInt64 = 61
  private static let mostMade: UInt64 = 1 << 29 - 1
  /// A role's index in this list is its number in the file, so the order must not change.
  private static let roles: [BilledAttempt.Role] = [
    .winner, .loser, .continued, .fallback, .failed,
  ]

  /// Index of each word. Each word from `firstHost` on holds one host.
  private enum Word {
    static let checksum = 0
    static let sequence = 1
    static let state = 2
    static let cachedTokensAndHosts = 3
    static let promptTokens = 4
    /// The bill plus 1. 0 means that there is no bill.
    static let billed = 5
    static let completionTokens = 6
    static let request = 7
    static let firstHost = 8
  }

  private(set) var words: SIMD16<UInt64>

  /// Makes the progress of a free slot.
  init(slot: Int) {
    words = .zero
    seal(slot: slot)
  }

  /// Returns `nil` if the words are damaged or belong to another slot.
  init?(_ words: SIMD16<UInt64>, slot: Int) {
    self.words = words
    guard words[Word.checksum] == Self.checksum(words, slot: slot),
      Self.state(words[Word.state]) != nil,
      words[Word.cachedTokensAndHosts] & (1 << Self.hostBits - 1)
        <= UInt64(Limits.journalHosts.value)
    else { return nil }
  }

  /// Number that grows with every change. The copy with the larger number is the newer one.
  var sequence: UInt64 { words[Word.sequence] }
  var state: State { Self.state(words[Word.state]) ?? .free }
  /// Number of the last settlement that used the slot. 0 means none. A new request in the slot
  /// keeps this number, so that the highest number of all slots is the last number of the process.
  var settlement: UInt64 { words[Word.state] >> Self.stateBits }
  var hostCount: Int { Int(words[Word.cachedTokensAndHosts] & (1 << Self.hostBits - 1)) }
  var promptTokens: Int { Int(clamping: words[Word.promptTokens]) }
  var cachedTokens: Int { Int(words[Word.cachedTokensAndHosts] >> Self.hostBits) }
  var completionTokens: Int { Int(clamping: words[Word.completionTokens]) }
  /// The answer's bill. `nil` means that the answer has not ended, or that its bill is computed
  /// from the tokens.
  var billed: MicroCredits? {
    words[Word.billed] == 0 ? nil : MicroCredits(Int64(clamping: words[Word.billed] - 1))
  }
  /// Checksum of the request to which the progress belongs.
  var request: UInt64 { words[Word.request] }

  /// Tokens of a host. The index must be below `hostCount`.
  func tokens(ofHost index: Int) -> (made: Int, contributed: Int) {
    let word = words[Word.firstHost + index]
    return (Int(word >> 32 & Self.mostMade), Int(word & 0xFFFF_FFFF))
  }

  func role(ofHost index: Int) -> BilledAttempt.Role {
    let number = Int(words[Word.firstHost + index] >> Self.roleShift)
    return number < Self.roles.count ? Self.roles[number] : .failed
  }

  mutating func begin(request checksum: UInt64) {
    let (sequence, settlement) = (sequence, settlement)
    words = .zero
    words[Word.sequence] = sequence
    set(.running, settlement: settlement)
    words[Word.request] = checksum
  }

  mutating func finish(settlement: UInt64) { set(.finished, settlement: settlement) }

  mutating func free() { set(.free, settlement: settlement) }

  mutating func setSettlement(_ number: UInt64) { set(state, settlement: number) }

  private mutating func set(_ state: State, settlement: UInt64) {
    words[Word.state] = settlement << Self.stateBits | state.rawValue
  }

  private static func state(_ word: UInt64) -> State? {
    State(rawValue: word & (1 << stateBits - 1))
  }

  mutating func setPrompt(tokens: Int, cached: Int) {
    words[Word.promptTokens] = UInt64(clamping: tokens)
    let cached = min(UInt64(clamping: cached), .max >> Self.hostBits)
    words[Word.cachedTokensAndHosts] = cached << Self.hostBits | UInt64(hostCount)
  }

  mutating func setBill(_ amount: MicroCredits?) {
    words[Word.billed] = amount.map { UInt64(clamping: $0.count) + 1 } ?? 0
  }

  mutating func setCompletion(tokens: Int) {
    words[Word.completionTokens] = UInt64(clamping: tokens)
  }

  mutating func addHost() { words[Word.cachedTokensAndHosts] &+= 1 }

  mutating func setHost(_ index: Int, made: Int, contributed: Int) {
    let role = words[Word.firstHost + index] & ~(1 << Self.roleShift - 1)
    let made = min(UInt64(clamping: made), Self.mostMade)
    words[Word.firstHost + index] = role | made << 32 | UInt64(UInt32(clamping: contributed))
  }

  mutating func setRole(_ role: BilledAttempt.Role, ofHost index: Int) {
    let number = UInt64(Self.roles.firstIndex(of: role) ?? 0)
    let tokens = words[Word.firstHost + index] & (1 << Self.roleShift - 1)
    words[Word.firstHost + index] = number << Self.roleShift | tokens
  }

  /// Counts the change and computes the checksum. It must be called once per change.
  mutating func seal(slot: Int) {
    words[Word.sequence] &+= 1
    words[Word.checksum] = Self.checksum(words, slot: slot)
  }

  private static func checksum(_ words: SIMD16<UInt64>, slot: Int) -> UInt64 {
    var checksum = WordChecksum(seed: UInt64(slot))
    for index in 1..<SlotLayout.progressWords { checksum.add(words[index]) }
    return checksum.value
  }
}

/// The parts of a slot that are written once per request.
enum SlotTexts {
  /// Words of a request, with the checksum as the first word. `nil` means that the texts are too
  /// long.
  static func words(of request: BilledRequest, incarnation: UInt64) -> [UInt64]? {
    var writer = WordWriter(limit: SlotLayout.requestWords)
    writer.append(incarnation)
    writer.append(request.admittedAt)
    writer.append(request.inputPrice.count)
    writer.append(request.cachedInputPrice.count)
    writer.append(request.outputPrice.count)
    writer.append(request.hold.count)
    // The length is checked first, because a longer text would be copied before it is refused.
    for text in [request.id, request.keyID, request.leaseID, request.model.name] {
      guard text.utf8.count <= SlotLayout.requestWords * 8 else { return nil }
      writer.append(text)
    }
    return writer.sealed(seed: 0)
  }

  static func request(
    from words: ArraySlice<UInt64>
  ) -> (request: BilledRequest, incarnation: UInt64)? {
    guard var reader = WordReader(words, seed: 0), let incarnation = reader.word(),
      let admittedAt = reader.number(), let inputPrice = reader.number(),
      let cachedInputPrice = reader.number(), let outputPrice = reader.number(),
      let hold = reader.number(), let id = reader.text(), let keyID = reader.text(),
      let leaseID = reader.text(), let model = reader.text()
    else { return nil }
    let request = BilledRequest(
      id: id, keyID: keyID, leaseID: leaseID, model: ModelID(model), admittedAt: admittedAt,
      inputPrice: MicroCredits(inputPrice), cachedInputPrice: MicroCredits(cachedInputPrice),
      outputPrice: MicroCredits(outputPrice), hold: MicroCredits(hold))
    return (request, incarnation)
  }

  /// Words of a host's names. `nil` means that the names are too long.
  /// - Parameter request: checksum of the request. It distinguishes the names from those that an
  ///   earlier request left in the slot.
  static func words(of host: SlotHost, request: UInt64) -> [UInt64]? {
    var writer = WordWriter(limit: SlotLayout.hostWords)
    // The length is checked first, because a longer text would be copied before it is refused.
    for text in [host.host.name, host.model?.name ?? ""] {
      guard text.utf8.count <= SlotLayout.hostWords * 8 else { return nil }
      writer.append(text)
    }
    return writer.sealed(seed: request)
  }

  static func host(from words: ArraySlice<UInt64>, request: UInt64) -> SlotHost? {
    guard var reader = WordReader(words, seed: request), let host = reader.text(),
      let model = reader.text()
    else { return nil }
    return SlotHost(host: HostID(host), model: model.isEmpty ? nil : ModelID(model))
  }
}
