/// Every limit on what an outsider can cost, each with its reason. `docs/limits.md` is generated
/// from this table.
public enum Limits {
  /// One section of the table.
  public struct Section: Sendable {
    public let title: String
    public let limits: [Limit]

    init(_ title: String, _ limits: [Limit]) {
      self.title = title
      self.limits = limits
    }
  }

  public static let sections: [Section] = [
    Section("Work", work),
    Section("Answers of hosts", answers),
    Section("Host tables and probes", hosts),
    Section("Records of models", models),
    Section("Clients and connections", clients),
    Section("Keys", access),
    Section("Memory", memory),
    Section("Plans and texts", plans),
    Section("Bus", bus),
    Section("Storage and files", storage),
    Section("Money", money),
    Section("Ledger and billing journal", ledger),
    Section("Leases of money", leases),
    Section("Accounts", accountLimits),
    Section("Usage of keys", usage),
  ]

  static let work = [workPerByte, freeWork]

  public static let workPerByte = Limit(
    "allowance.work_per_byte", 64, .count,
    "An honest answer is read about ten times: scanned, checked, held back, joined, assembled. "
      + "64 leaves room for hosts that send one token in 200 bytes of JSON.")
  public static let freeWork = Limit(
    "allowance.free_work", 65_536, .count,
    "Short answers have fixed costs that their few bytes do not grant.")

  /// Contents of `docs/limits.md`.
  public static var markdown: String {
    var page = """
      # Limits

      Bounds on what one host or one client can cost. Generated from `Shared/Limits`; change a value
      there and run `make limits`.

      """
    for section in sections {
      page += "\n## \(section.title)\n\n| limit | value | reason |\n|---|---|---|\n"
      for limit in section.limits {
        page += "| `\(limit.name)` | \(limit.text) | \(limit.reason) |\n"
      }
    }
    return page
  }
}

extension Limit {
  /// The value with its unit. Bytes have the largest binary unit that divides the value.
  var text: String {
    switch unit {
    case .bytes:
      if value >= 1 << 20, value % (1 << 20) == 0 { return "\(value >> 20) MiB" }
      if value >= 1 << 10, value % (1 << 10) == 0 { return "\(value >> 10) KiB" }
      return "\(value) bytes"
    case .milliseconds: return value % 1_000 == 0 ? "\(value / 1_000) s" : "\(value) ms"
    case .percent: return "\(value) %"
    case .count: return "\(value)"
    }
  }
}
