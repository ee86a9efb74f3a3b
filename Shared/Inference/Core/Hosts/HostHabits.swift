import ClusterModel
import Limits

/// A learned fact about how a host and one of its models accept requests.
public enum HostHabit: Hashable, Sendable {
  /// The host refused a request, and answered it with these changes.
  case form(RequestForm)
  /// The host's token count of a prompt, and Tutti's estimate of it.
  case prompt(estimated: Int, counted: Int)
}

/// Remembers how hosts accept requests, by host and model.
///
/// The number of entries is bounded. If a host refused an addition by Tutti, the addition is tried
/// again after an hour.
struct HostHabits: Sendable {
  private struct Key: Hashable, Sendable {
    var host: HostID
    var model: ModelID
  }

  private struct Entry: Sendable {
    var form: RequestForm = []
    var formUntil = Instant.zero
    /// Tokens that the host counts per estimated token. `nil` means that no count was recorded.
    var tokensPerEstimate: Double?
    var last = Instant.zero
  }

  /// Time for which a refused addition is left out. Servers are updated and models are replaced, so
  /// the addition is then tried again. This costs one refused request per hour, host and model.
  static let formLife = Duration.seconds(3_600)
  /// Minimum estimate of a prompt whose count is used. In shorter prompts, most tokens come from
  /// the chat template.
  private static let leastTokens = 64
  /// Weight of a new count in the moving average. About the last eight counts decide.
  private static let weight = 0.25
  /// Range to which ratios of count and estimate are limited. Outside of the range, the count is
  /// wrong, or the prompt is not only text.
  private static let plausible = 0.05...8.0

  private var entries: [Key: Entry] = [:]

  /// Changes of the request that this host needs.
  func form(of host: HostID, _ model: ModelID, at now: Instant) -> RequestForm {
    guard !entries.isEmpty, let entry = entries[Key(host: host, model: model)],
      now < entry.formUntil
    else { return [] }
    return entry.form
  }

  /// Converts an estimate of a prompt's tokens to this host's tokeniser.
  func tokens(estimated: Int, at host: HostID, _ model: ModelID) -> Int {
    guard !entries.isEmpty,
      let ratio = entries[Key(host: host, model: model)]?.tokensPerEstimate
    else { return estimated }
    return Int(clamping: (Double(estimated) * ratio).rounded(.up))
  }

  static func isUseful(_ habit: HostHabit) -> Bool {
    switch habit {
    case .form(let form): !form.isEmpty
    case .prompt(let estimated, let counted): estimated >= leastTokens && counted > 0
    }
  }

  mutating func learn(_ habit: HostHabit, of host: HostID, _ model: ModelID, now: Instant) {
    guard Self.isUseful(habit) else { return }
    let key = Key(host: host, model: model)
    if entries[key] == nil, entries.count >= Limits.rememberedHabits.value { forgetOldest() }
    var entry = entries[key] ?? Entry()
    entry.last = now
    switch habit {
    case .form(let form):
      entry.form = now < entry.formUntil ? entry.form.union(form) : form
      entry.formUntil = now + Self.formLife
    case .prompt(let estimated, let counted):
      let bounds = Self.plausible
      let ratio = min(
        max(Double(counted) / Double(estimated), bounds.lowerBound), bounds.upperBound)
      let known = entry.tokensPerEstimate ?? ratio
      entry.tokensPerEstimate = known + (ratio - known) * Self.weight
    }
    entries[key] = entry
  }

  /// Drops the older half of the entries. Dropping half at a time makes the sort rare.
  private mutating func forgetOldest() {
    let times = entries.values.map(\.last).sorted()
    let middle = times[times.count / 2]
    entries = entries.filter { $0.value.last > middle }
  }
}
