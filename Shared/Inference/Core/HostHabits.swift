public import ClusterModel
import Limits

/// Something learnt about how a host and one of its models take requests.
public enum HostHabit: Hashable, Sendable {
  /// It answered a request with these changes, after it had refused one without them.
  case form(RequestForm)
  /// It counted so many tokens of a prompt that was estimated otherwise.
  case prompt(estimated: Int, counted: Int)
}

/// Memory of how hosts take requests, by host and model. Bounded; an addition that was refused is tried
/// again after an hour.
public struct HostHabits: Sendable {
  private struct Key: Hashable, Sendable {
    var host: HostID
    var model: ModelID
  }

  private struct Entry: Sendable {
    var form: RequestForm = []
    var formUntil = Instant.zero
    /// Tokens that it counts for each that is estimated; `nil` means that it has counted none.
    var tokensPerEstimate: Double?
    var last = Instant.zero
  }

  /// Servers are updated and models replaced. Asking in vain once an hour costs one refused request.
  static let formLife = Duration.seconds(3_600)
  /// The chat template decides the count of shorter prompts.
  private static let leastTokens = 64
  /// The weight of one more count: the last eight or so decide.
  private static let weight = 0.25
  /// Beyond these a count is a mistake, or not of the text.
  private static let plausible = 0.05...8.0

  private var entries: [Key: Entry] = [:]

  public init() {}

  /// How this host has to be asked.
  public func form(of host: HostID, _ model: ModelID, at now: Instant) -> RequestForm {
    guard !entries.isEmpty, let entry = entries[Key(host: host, model: model)],
      now < entry.formUntil
    else { return [] }
    return entry.form
  }

  /// An estimate of a prompt's tokens, in the measure of this host.
  public func tokens(estimated: Int, at host: HostID, _ model: ModelID) -> Int {
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

  /// Half of the entries, so that the search for the oldest is paid for by many new ones.
  private mutating func forgetOldest() {
    let times = entries.values.map(\.last).sorted()
    let middle = times[times.count / 2]
    entries = entries.filter { $0.value.last > middle }
  }
}
