internal import Limits

/// Format of the journal's file: makes its bytes and reads them. The file has a header and slots of
/// equal size.
enum JournalImage {
  private static let headerBytes = 4_096
  private static let wordBytes = 8
  private static let slotBytes = SlotLayout.words * wordBytes
  /// First word of the file: "tuttibil" in ASCII.
  private static let magic: UInt64 = 0x6C69_6269_7474_7574
  private static let version: UInt64 = 3
  private static let headerWords = 8
  /// Index of the header's word with the highest settlement number of answers without an entry. The
  /// word changes, so it has its own checksum and the header's checksum leaves it out.
  static let lastNumberWord = 6

  /// Entries of a file, and how many slots it has and how many of them are damaged.
  struct Contents {
    var entries: [BillingEntry] = []
    var slots = 0
    var damagedSlots = 0

    /// Gives each entry without a settlement number the next number of its process.
    /// - Parameter last: the last number of each process, by incarnation.
    mutating func number(after last: [UInt64: UInt64]) {
      var last = last
      for index in entries.indices where entries[index].settlement == 0 {
        let next = (last[entries[index].incarnation] ?? 0) + 1
        last[entries[index].incarnation] = next
        entries[index].settlement = next
      }
    }
  }

  static func bytes(slots: Int) -> Int { headerBytes + slots * slotBytes }

  /// Index of a slot's first word in the file.
  static func firstWord(ofSlot slot: Int) -> Int {
    headerBytes / wordBytes + slot * SlotLayout.words
  }

  /// Returns one word with a settlement number of 40 bits and a checksum of 24 bits. One word can
  /// be written atomically.
  static func word(number: UInt64) -> UInt64 {
    number << 24 | WordChecksum.of([number], seed: UInt64(lastNumberWord)) & 0xFF_FFFF
  }

  /// The settlement number in a word. 0 means that the word has none or is damaged.
  private static func number(in word: UInt64) -> UInt64 {
    let number = word >> 24
    return Self.word(number: number) == word ? number : 0
  }

  // MARK: - Writing

  /// An entry of an older file, with its slot in the new file.
  struct Kept {
    let request: String
    let slot: Int
    let progress: SlotProgress
  }

  /// Makes a file whose first slots hold the entries of an older file. The other slots are free.
  /// - Parameter slots: number of slots. It must not be less than the number of entries.
  static func make(
    entries: [BillingEntry], slots: Int, incarnation: UInt64
  ) -> (bytes: [UInt8], kept: [Kept]) {
    var bytes = [UInt8](repeating: 0, count: Self.bytes(slots: slots))
    func write(_ words: some Sequence<UInt64>, at first: Int) {
      var offset = first * wordBytes
      for word in words {
        for byte in 0..<wordBytes {
          bytes[offset + byte] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(byte)))
        }
        offset += wordBytes
      }
    }
    func write(_ progress: SlotProgress, slot: Int) {
      let words = progress.words
      for copy in SlotLayout.progress {
        write(words.indices.map { words[$0] }, at: firstWord(ofSlot: slot) + copy)
      }
    }
    let header = [magic, version, UInt64(slots), UInt64(SlotLayout.words), incarnation]
    write(header + [WordChecksum.of(header, seed: 0)], at: 0)
    // Every entry fits, because it was read from a slot of this size.
    let contents = entries.compactMap(SlotWords.init)
    for (slot, words) in contents.enumerated() {
      let first = firstWord(ofSlot: slot)
      write(words.request, at: first + SlotLayout.request)
      for (index, host) in words.hosts.enumerated() {
        write(host, at: first + SlotLayout.hosts + index * SlotLayout.hostWords)
      }
    }
    let kept = contents.enumerated().map { slot, words in
      Kept(request: words.entry.request.id, slot: slot, progress: words.progress(slot: slot))
    }
    for kept in kept { write(kept.progress, slot: kept.slot) }
    for slot in kept.count..<slots { write(SlotProgress(slot: slot), slot: slot) }
    return (bytes, kept)
  }

  /// Words of an entry that was read from a file, for a slot of another file.
  private struct SlotWords {
    let entry: BillingEntry
    let request: [UInt64]
    let hosts: [[UInt64]]

    init?(_ entry: BillingEntry) {
      guard
        let request = SlotTexts.words(of: entry.request, incarnation: entry.incarnation)
      else { return nil }
      self.entry = entry
      self.request = request
      hosts = entry.hosts.compactMap {
        SlotTexts.words(of: SlotHost(host: $0.host, model: $0.model), request: request[0])
      }
      guard hosts.count == entry.hosts.count else { return nil }
    }

    func progress(slot: Int) -> SlotProgress {
      var progress = SlotProgress(slot: slot)
      progress.begin(request: request[0])
      progress.setPrompt(tokens: entry.promptTokens, cached: entry.cachedTokens)
      progress.setCompletion(tokens: entry.completionTokens)
      for (index, host) in entry.hosts.enumerated() {
        progress.addHost()
        progress.setRole(host.role, ofHost: index)
        progress.setHost(index, made: host.made, contributed: host.contributed)
      }
      progress.setBill(entry.billed)
      // An answer that was running ended when its process ended.
      progress.finish(settlement: entry.settlement)
      progress.seal(slot: slot)
      return progress
    }
  }

  // MARK: - Reading

  /// Reads a file that may hold any bytes. `nil` means that the file is no journal of this version,
  /// or that its header is damaged.
  static func contents(of bytes: [UInt8]) -> Contents? {
    let header = words(0, headerWords, of: bytes)
    guard header.count == headerWords, header[0] == magic, header[1] == version,
      header[5] == WordChecksum.of(header.prefix(5), seed: 0),
      header[3] == UInt64(SlotLayout.words), bytes.count >= headerBytes,
      let slots = Int(exactly: header[2]),
      slots == (bytes.count - headerBytes) / slotBytes, bytes.count == Self.bytes(slots: slots)
    else { return nil }
    var contents = Contents(slots: slots)
    var ids: Set<String> = []
    var numbers = [header[4]: number(in: header[lastNumberWord])]
    for slot in 0..<slots {
      switch reading(slot, of: bytes) {
      case .free(let settlement):
        numbers[header[4]] = max(numbers[header[4]] ?? 0, settlement)
      case .entry(let entry, let settlement) where ids.insert(entry.request.id).inserted:
        contents.entries.append(entry)
        numbers[entry.incarnation] = max(numbers[entry.incarnation] ?? 0, settlement)
      case .entry, .damaged: contents.damagedSlots += 1
      }
    }
    contents.number(after: numbers)
    return contents
  }

  private enum Reading {
    case damaged
    case free(settlement: UInt64)
    /// `settlement` is the last number in the slot, which may belong to an earlier request.
    case entry(BillingEntry, settlement: UInt64)
  }

  private static func reading(_ slot: Int, of bytes: [UInt8]) -> Reading {
    let first = firstWord(ofSlot: slot)
    let copies = SlotLayout.progress.compactMap { copy -> SlotProgress? in
      let words = words(first + copy, SlotLayout.progressWords, of: bytes)
      guard words.count == SlotLayout.progressWords else { return nil }
      return SlotProgress(SIMD16(words), slot: slot)
    }
    guard let progress = copies.max(by: { $0.sequence < $1.sequence }) else { return .damaged }
    let state: BillingEntry.State
    switch progress.state {
    case .free: return .free(settlement: progress.settlement)
    case .running: state = .running
    case .finished: state = .finished
    }
    let texts = words(first + SlotLayout.request, SlotLayout.requestWords, of: bytes)
    guard texts.first == progress.request,
      let (request, incarnation) = SlotTexts.request(from: texts)
    else { return .damaged }
    var hosts: [HostTokens] = []
    for index in 0..<progress.hostCount {
      let start = first + SlotLayout.hosts + index * SlotLayout.hostWords
      let name = words(start, SlotLayout.hostWords, of: bytes)
      guard let host = SlotTexts.host(from: name, request: progress.request) else {
        return .damaged
      }
      let tokens = progress.tokens(ofHost: index)
      hosts.append(
        HostTokens(
          host: host.host, model: host.model, role: progress.role(ofHost: index),
          made: tokens.made, contributed: tokens.contributed))
    }
    return .entry(
      BillingEntry(
        request: request, incarnation: incarnation, state: state,
        settlement: state == .finished ? progress.settlement : 0,
        promptTokens: progress.promptTokens, cachedTokens: progress.cachedTokens,
        completionTokens: progress.completionTokens, billed: progress.billed, hosts: hosts),
      settlement: progress.settlement)
  }

  /// Words of the file from `first` on. There are fewer than `count` if the file ends earlier.
  private static func words(_ first: Int, _ count: Int, of bytes: [UInt8]) -> ArraySlice<UInt64> {
    var words: [UInt64] = []
    words.reserveCapacity(count)
    for index in first..<first + count {
      let start = index * wordBytes
      guard start + wordBytes <= bytes.count else { break }
      var word: UInt64 = 0
      for byte in (0..<wordBytes).reversed() { word = word << 8 | UInt64(bytes[start + byte]) }
      words.append(word)
    }
    return words[...]
  }
}
