/// The values that admins set at run time. They win over file, variables and flags.
public struct RuntimeOverrides: Hashable, Sendable {
  private var values: [RuntimeSetting: RuntimeValue] = [:]

  public static let none = RuntimeOverrides()

  public init() {}

  /// Leaves out unknown settings and values that their settings do not allow, because a process of
  /// another version may have sent them.
  public init(texts: some Sequence<(id: String, value: String)>) {
    for (id, text) in texts {
      guard let setting = RuntimeSetting(rawValue: id), let value = setting.value(text) else {
        continue
      }
      values[setting] = value
    }
  }

  public var isEmpty: Bool { values.isEmpty }

  /// Ids and values as texts, sorted by id.
  public var texts: [(id: String, value: String)] {
    values.map { (id: $0.key.id, value: "\($0.value)") }.sorted { $0.id < $1.id }
  }

  /// The override of a setting. `nil` means that the configuration of each process decides.
  public subscript(_ setting: RuntimeSetting) -> RuntimeValue? { values[setting] }

  /// Sets or removes an override. A value that the setting does not allow changes nothing.
  public mutating func set(_ setting: RuntimeSetting, to value: RuntimeValue?) {
    if let value, !setting.allows(value) { return }
    values[setting] = value
  }

  public func integer(_ setting: RuntimeSetting) -> Int? {
    if case .integer(let number) = values[setting] { number } else { nil }
  }

  public func name(_ setting: RuntimeSetting) -> String? {
    if case .choice(let name) = values[setting] { name } else { nil }
  }

  public func choice<Choice: RawRepresentable<String>>(
    _ setting: RuntimeSetting, as _: Choice.Type = Choice.self
  ) -> Choice? {
    if case .choice(let choice) = values[setting] { Choice(rawValue: choice) } else { nil }
  }
}

/// All overrides, as the registry publishes them.
public struct RuntimeSettingsTable: Hashable, Sendable {
  /// The registry's incarnation.
  public var epoch: UInt64
  /// Number that grows with every change.
  public var revision: UInt64
  public var overrides: RuntimeOverrides

  public init(epoch: UInt64, revision: UInt64, overrides: RuntimeOverrides) {
    self.epoch = epoch
    self.revision = revision
    self.overrides = overrides
  }
}

/// Decides which table of overrides is current, and when to request one from the registry.
///
/// Each table is complete, and the registry repeats it every few seconds, so that a lost one needs
/// no request.
public struct RuntimeSettingsFeed: Sendable {
  /// The current table. `nil` means that none has arrived.
  public private(set) var table: RuntimeSettingsTable?

  public init() {}

  public enum Outcome: Equatable, Sendable {
    /// The table is the current one or an older one of the same registry.
    case unchanged
    case replaced
    /// The table has a lower epoch than the current one. It is late, or the registry's clock was
    /// set back.
    case ask
  }

  public var overrides: RuntimeOverrides { table?.overrides ?? .none }

  /// Handles a published table.
  public mutating func published(_ new: RuntimeSettingsTable) -> Outcome {
    guard let table else {
      table = new
      return .replaced
    }
    guard new.epoch >= table.epoch else { return .ask }
    guard (table.epoch, table.revision) < (new.epoch, new.revision) else { return .unchanged }
    self.table = new
    return .replaced
  }

  /// Applies the answer of the registry whatever its epoch, because it comes from a live registry.
  public mutating func answered(_ new: RuntimeSettingsTable) -> Outcome {
    if let table {
      guard new != table else { return .unchanged }
      // A newer publication of the same registry arrived before the answer.
      if new.epoch == table.epoch, new.revision < table.revision { return .unchanged }
    }
    table = new
    return .replaced
  }
}
