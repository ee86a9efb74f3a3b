import ClusterModel

/// The additions that a run may leave out, and the additions that hosts refused.
struct RequestForms: Sendable {
  /// Changes that undo an addition.
  let undoable: RequestForm
  /// Whether hosts are asked for one body, because the client wants one and the run needs no
  /// stream.
  private(set) var asksForBody = false
  /// Patience for a whole body: half of the total time by default, so that half remains for another
  /// host.
  private(set) var bodyPatience: Duration
  /// Additions that each host refused in this run.
  private var refused: [HostID: RequestForm] = [:]
  /// Changes to delivery after a refusal that named no member. They apply to all later hosts too,
  /// so that the first request to each of them has the client's own bytes.
  private var common: RequestForm = []
  /// Changes that only this request needs. They are not remembered for the host's other requests.
  private var unremembered: RequestForm = []
  private(set) var changes = 0

  init(undoable: RequestForm, total: Duration) {
    self.undoable = undoable
    bodyPatience = total / 2
  }

  /// Asks hosts for one body.
  /// - Parameter patience: maximum time for a whole body. `nil` means half of the total time.
  mutating func askForBody(patience: Duration?) {
    asksForBody = true
    if let patience { bodyPatience = patience }
  }

  mutating func refuse(_ change: FormRemedy.Change, by host: HostID) {
    changes += 1
    refused[host, default: []].formUnion(change.form)
    if change.isBlind { common.formUnion(change.form.intersection(.delivery)) }
    if change.isForPrompt { unremembered.formUnion(change.form) }
  }

  /// Changes for a host in this run, in addition to those in `HostHabits`.
  func form(for host: HostID) -> RequestForm { common.union(refused[host] ?? []) }

  /// Changes to remember for a host that answers. Empty if the host has refused nothing.
  func learned(of host: HostID) -> RequestForm {
    refused[host]?.subtracting(unremembered) ?? []
  }
}
