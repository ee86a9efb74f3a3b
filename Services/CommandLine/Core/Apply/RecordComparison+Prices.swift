import Money

extension RecordComparison {
  /// A price that starts at most this many milliseconds from now counts as started. A new price
  /// without a time starts one second after its request, and the clocks of two machines differ by
  /// some seconds.
  private static let clockTolerance: Int64 = 10_000

  /// Compares the prices in force and later ones. For each model and host, the price in the file
  /// that started last shall be in force. A price without a time counts as started.
  mutating func comparePrices(_ present: [ClusterRecord], _ wanted: [FileRecord], now: Int64) {
    let now = now > .max - Self.clockTolerance ? now : now + Self.clockTolerance
    let book = PriceRows(present.map { PriceListing($0.members) }, at: now)
    let file = PriceRows(wanted.map { PriceListing($0.members) }, at: now)
    for record in wanted {
      let row = PriceListing(record.members)
      let isLater = row.start > now
      guard isLater || file.inForce[row.subject] == row else { continue }
      let old = isLater ? book.row(from: row.start, of: row.subject) : book.inForce[row.subject]
      guard old?.charges != row.charges else { continue }
      if isLater, old != nil {
        mistakes.add(
          record.line,
          "prices: \(row.label) is another price already, which cannot be changed; "
            + "choose a later time")
        continue
      }
      var members = record.members
      if !isLater { members["effective_from_ms"] = .null }
      made.append(
        RecordChange(
          kind: .prices, id: "", label: isLater ? row.label : row.subject.label,
          action: old.map { RecordChange.Action.supersede(row.differences(from: $0), by: members) }
            ?? .create(members)))
    }
    for row in book.inForceAndLater {
      let isWanted =
        row.start > now
        ? file.row(from: row.start, of: row.subject) != nil : file.inForce[row.subject] != nil
      if !isWanted {
        notes.append(
          "price \(row.start > now ? row.label : row.subject.label) is not in the file and stays: "
            + "prices are only added")
      }
    }
  }
}

/// A price in the registry's list or in a file.
struct PriceListing: Hashable {
  struct Subject: Hashable {
    let model: String
    /// `nil` means that the price is the one that clients pay.
    let host: String?

    var label: String { host.map { "\(model) on \($0)" } ?? model }
  }

  let subject: Subject
  /// Milliseconds since 1970. `Int64.min` means that the file names no time.
  let start: Int64
  /// Credits per million tokens, by name of the member.
  let charges: [String: RecordValue]

  init(_ members: [String: RecordValue]) {
    subject = Subject(model: members["model"]?.text ?? "", host: members["host"]?.text)
    start = members["effective_from_ms"]?.integer.map { Int64($0) } ?? .min
    let input = members["input"] ?? .null
    let cached = members["cached_input"] ?? .null
    charges = [
      "input": input, "cached_input": cached == .null ? input : cached,
      "output": members["output"] ?? .null,
    ]
  }

  var label: String {
    start == .min
      ? subject.label : "\(subject.label) from \(UTCDate(milliseconds: start))"
  }

  func differences(from old: PriceListing) -> [RecordChange.MemberChange] {
    ["input", "cached_input", "output"].compactMap { name in
      let (old, new) = (old.charges[name] ?? .null, charges[name] ?? .null)
      return old == new ? nil : .init(name: name, old: old, new: new)
    }
  }
}

/// Prices of all models. Only prices in force and later prices are used.
struct PriceRows {
  private struct Place: Hashable {
    let subject: PriceListing.Subject
    let start: Int64
  }

  private(set) var inForce: [PriceListing.Subject: PriceListing] = [:]
  private var all: [Place: PriceListing] = [:]
  private let time: Int64

  init(_ rows: [PriceListing], at now: Int64) {
    time = now
    for row in rows {
      all[Place(subject: row.subject, start: row.start)] = row
      if row.start <= now, inForce[row.subject].map({ $0.start <= row.start }) ?? true {
        inForce[row.subject] = row
      }
    }
  }

  func row(from start: Int64, of subject: PriceListing.Subject) -> PriceListing? {
    all[Place(subject: subject, start: start)]
  }

  /// Prices in force and later ones, sorted by model, host and time.
  var inForceAndLater: [PriceListing] {
    all.values.filter { $0.start > time || inForce[$0.subject] == $0 }.sorted {
      ($0.subject.label, $0.start) < ($1.subject.label, $1.start)
    }
  }
}
