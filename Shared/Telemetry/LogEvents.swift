public import Logging

/// Events that an operator should see: all warnings and errors of the services, and the notices
/// that end them.
///
/// Each line has the member `event` with the raw value, so that a filter or an alert does not
/// depend on the message. A test compares the cases with the code.
public enum LogEvents: String, CaseIterable, Sendable {
  // Hosts and answers.
  case hostDown = "host_down"
  case hostBack = "host_back"
  case attemptBroken = "attempt_broken"
  case answerBroken = "answer_broken"

  // Processes.
  case serviceDied = "service_died"
  case serviceRestarted = "service_restarted"
  case peerLost = "peer_lost"
  case settingUnsafe = "setting_unsafe"
  case tlsUnusable = "tls_unusable"
  case connectionsNotAccepted = "connections_not_accepted"
  case requestFailed = "request_failed"
  case tableNotPublished = "table_not_published"

  // Log store.
  case storeRefuses = "store_refuses"
  case storeWorks = "store_works"
  case telemetryLost = "telemetry_lost"
  case retentionNotApplied = "retention_not_applied"

  // Store of the registry.
  case hostNotSaved = "host_not_saved"
  case modelNotSaved = "model_not_saved"
  case settingsNotSaved = "settings_not_saved"
  case keyNotSaved = "key_not_saved"
  case keysNotMarked = "keys_not_marked"
  case keysMissing = "keys_missing"
  case keyUseNotRead = "key_use_not_read"
  case keyUseNotWritten = "key_use_not_written"
  case auditWrong = "audit_wrong"

  // Money.
  case budgetCrossed = "budget_crossed"
  case budgetsNotRemoved = "budgets_not_removed"
  case moneyMessagesDropped = "money_messages_dropped"
  case settlementNotLookedUp = "settlement_not_looked_up"
  case checkpointIgnored = "checkpoint_ignored"
  case checkpointsUnreadable = "checkpoints_unreadable"
  case checkpointNotWritten = "checkpoint_not_written"
  case accountsReadAgain = "accounts_read_again"
  case accountsNotRestored = "accounts_not_restored"
  case storeTakenOver = "store_taken_over"
  case pricesNotPublished = "prices_not_published"
  case tooManyPrices = "too_many_prices"
  case billingJournalDamaged = "billing_journal_damaged"

  public var level: Logger.Level { facts.level }
  public var message: String { facts.message }
  /// One or two sentences for the manual: the effect, and what an operator can do.
  public var meaning: String { facts.meaning }

  private typealias Facts = (level: Logger.Level, message: String, meaning: String)

  private var facts: Facts {
    switch self {
    case .hostDown:
      (
        .warning, "host does not answer",
        "Probes of the host fail, and `was` is the state before. Requests go to other hosts until "
          + "it is back. `reason` has the cause; `tutti hosts list` shows all states."
      )
    case .hostBack:
      (
        .notice, "host answers again",
        "The host was away for `away_ms` and gets requests again."
      )
    case .attemptBroken:
      (
        .warning, "host broke off an answer",
        "The host failed after its first token. Other hosts may have resumed the answer; if "
          + "not, the gateway writes `answer_broken`."
      )
    case .answerBroken:
      (
        .error, "answer broken off before its end",
        "A client got an error after the first token of a streamed answer. `host` and "
          + "`attempts` name the hosts."
      )
    case .serviceDied:
      (
        .error, "process ended unexpectedly",
        "`tutti up` starts the service or model server again. `process` is its name, `reason` the "
          + "cause, `count` the number of its crashes since the cluster started, and `report` the "
          + "file with its backtrace."
      )
    case .serviceRestarted:
      (
        .notice, "started again after a crash",
        "Written by the new process. The monitor writes `service_died` for the one that ended."
      )
    case .peerLost:
      (
        .warning, "peer lost",
        "A process did not renew its lease and sent no goodbye: it died, hangs, or cannot reach "
          + "the registry."
      )
    case .settingUnsafe:
      (
        .warning, "a setting may be unsafe",
        "The sentence in `setting` names the setting and the risk."
      )
    case .tlsUnusable:
      (
        .error, "the changed TLS files cannot be used; the previous certificate stays in service",
        "Correct the files; the process reads them again by itself. Clients see the previous "
          + "certificate until then."
      )
    case .connectionsNotAccepted:
      (
        .error, "connections cannot be accepted",
        "Usually the process has no file descriptors left: raise its limit, or find the client "
          + "that keeps connections open."
      )
    case .requestFailed:
      (
        .error, "request failed unexpectedly",
        "A fault of Tutti: the client got a 500. Please report it with this line."
      )
    case .tableNotPublished:
      (
        .error, "cannot publish a table; peers keep the previous one",
        "A table of hosts, peers, keys or prices is too large for a message of the bus."
      )
    case .storeRefuses:
      (
        .error, "log store does not work",
        "Logs, spans and requests are kept in memory and the oldest are dropped. `reason` names "
          + "the cause."
      )
    case .storeWorks:
      (
        .notice, "log store works",
        "The monitor writes to the log store again."
      )
    case .telemetryLost:
      (
        .error, "telemetry lost",
        "The log store refused records several times, or the process ended before it could "
          + "write them."
      )
    case .retentionNotApplied:
      (
        .warning, "retention not applied",
        "Old records were not deleted. The monitor tries again after 10 minutes."
      )
    case .hostNotSaved:
      (
        .error, "host not saved",
        "The registry's store refused a change of a host, and the change was not made."
      )
    case .modelNotSaved:
      (
        .error, "model not saved",
        "The registry's store refused a change of a model, and the change was not made."
      )
    case .settingsNotSaved:
      (
        .error, "settings not saved",
        "The registry's store refused a change of a run-time setting, and the change was not "
          + "made."
      )
    case .keyNotSaved:
      (
        .error, "key not saved",
        "The registry's store refused a change of a key, and the change was not made."
      )
    case .keysNotMarked:
      (
        .error, "keys not marked",
        "The file that records the existence of keys cannot be written."
      )
    case .keysMissing:
      (
        .warning,
        "the store has no keys, but the cluster has had some, so every request needs a new one; "
          + "create a key, or stop the registry and remove the file to open the cluster",
        "The store was lost or replaced. `file` records that keys existed."
      )
    case .keyUseNotRead:
      (
        .warning, "the day's use of keys could not be read; limits per day count from now on",
        "Keys may exceed their limits per day once. The registry's store needs attention."
      )
    case .keyUseNotWritten:
      (
        .warning, "the day's use of keys could not be written",
        "After a restart, limits per day count from an earlier state. The registry's store "
          + "needs attention."
      )
    case .auditWrong:
      (
        .error, "audit log names a change that was not made",
        "The audit log was written, and the change of the host then failed."
      )
    case .budgetCrossed:
      (
        .warning, "budget threshold crossed",
        "Spending of an organisation, team or key has reached a warning threshold of its "
          + "budget."
      )
    case .budgetsNotRemoved:
      (
        .warning, "budgets of a removed key not removed",
        "The registry's store refused; the budgets of a key that no longer exists stay in it."
      )
    case .moneyMessagesDropped:
      (
        .warning, "messages about money dropped",
        "Gateways sent more than the registry keeps, and send them again."
      )
    case .settlementNotLookedUp:
      (
        .warning, "settlement not looked up",
        "The registry's store did not answer; the gateway asks again."
      )
    case .checkpointIgnored:
      (
        .warning, "checkpoint of the ledger ignored",
        "The checkpoint does not agree with the ledger. Balances are computed from an earlier "
          + "one."
      )
    case .checkpointsUnreadable:
      (
        .warning, "checkpoints of the ledger cannot be read",
        "Balances are computed from the whole ledger, so the start takes longer."
      )
    case .checkpointNotWritten:
      (
        .warning, "checkpoint of the ledger not written",
        "The next start takes longer. The registry tries again."
      )
    case .accountsReadAgain:
      (
        .error, "accounts are read again",
        "The outcome of a write is unknown, so the registry reads all accounts from its store."
      )
    case .accountsNotRestored:
      (
        .error, "accounts cannot be restored",
        "Until the registry's store can be read, no money is lent to gateways. The registry "
          + "tries again."
      )
    case .storeTakenOver:
      (
        .critical, "store taken over",
        "A second registry writes to the same store. This one writes no more."
      )
    case .pricesNotPublished:
      (
        .error, "prices cannot be published",
        "Gateways keep the previous prices."
      )
    case .tooManyPrices:
      (
        .error, "gateways refuse some models: too many have prices",
        "Remove prices of models that are not used."
      )
    case .billingJournalDamaged:
      (
        .warning, "the billing journal was damaged",
        "Entries after the damage are lost: some requests before the last start may be "
          + "unbilled."
      )
    }
  }
}

extension Logger {
  /// Logs an event with its level, its message and its name.
  public func report(_ event: LogEvents, metadata: Logger.Metadata = [:]) {
    var metadata = metadata
    metadata[LogKey.event] = "\(event.rawValue)"
    log(level: event.level, "\(event.message)", metadata: metadata)
  }
}
