/// Makes docs/manual/failures.md from a table whose rows name the tests that prove them.
///
/// `ManualPageTests` finds each test by its title. A new test of a failure needs a row here.
enum FailuresPage {
  struct Section {
    let title: String
    let rows: [Row]
  }

  struct Row {
    let failure: String
    let effect: String
    let proofs: [Proof]
  }

  struct Proof {
    /// The file below `Tests`, without `.swift`.
    let suite: String
    /// The test's title.
    let test: String

    init(_ suite: String, _ test: String) {
      self.suite = suite
      self.test = test
    }
  }

  static let sections = [hosts, services, stops, stores, ports]

  private static let hosts = Section(
    title: "Hosts and clients",
    rows: [
      Row(
        failure: "A host fails before the first token",
        effect: "Another host is asked, up to `inference.max_failures` failed attempts in all.",
        proofs: [
          Proof(
            "InferenceTests/SocketFailureTests",
            "one attempt in five fails, of six hosts: every answer comes, and none is wrong")
        ]),
      Row(
        failure: "A host is killed, hangs or slows down in the middle of an answer",
        effect: "Another host resumes the answer, and the client gets one stream.",
        proofs: [
          Proof(
            "ClusterTests/ContinuationTests",
            "a model server is killed or stopped in mid-answer: the other one finishes the answer"),
          Proof(
            "InferenceTests/SocketCutTests",
            "a host that falls silent, or crawls, is given up, and the answer is the same"),
        ]),
      Row(
        failure: "No other host can resume the answer",
        effect: "The stream ends with one error event and without `[DONE]`. The log has "
          + "`attempt_broken` and `answer_broken`.",
        proofs: [
          Proof(
            "ClusterTests/EventTests",
            "a broken answer, a dead host, a dead process and a store that refuses are in the log"),
          Proof(
            "GatewayTests/ClientStreamTests",
            "a failed stream ends properly after one error event, without [DONE]"),
        ]),
      Row(
        failure: "A host does not answer probes",
        effect:
          "One refused connection, or three probes without an answer, take it out of use; the "
          + "log has `host_down`. It is probed again after about 1, 2, 4 and 8 s, then every 10 s, "
          + "and one answer brings it back. `tutti hosts probe ID` probes at once.",
        proofs: [
          Proof(
            "ServiceCoreTests/RegistryCoreTests",
            "takes a ready host out after three silent probes, or one refused connection"),
          Proof(
            "ServiceCoreTests/RegistryCoreTests",
            "asks an unreachable host less and less often, up to ten seconds"),
          Proof(
            "ClusterTests/HostProbeTests",
            "a host that is away is added with 75, and a probe uses it again at once"),
        ]),
      Row(
        failure: "A host falls silent during a task of a plan",
        effect: "The task waits until the deadline between two tokens; then another host is asked.",
        proofs: [
          Proof(
            "ClusterTests/SilentHostTests",
            "an ensemble waits for a silent host no longer than its limit")
        ]),
      Row(
        failure: "All hosts but those of the tier `fallback` fail",
        effect: "A fallback host answers.",
        proofs: [
          Proof(
            "ClusterTests/DialectTests",
            "a fallback host gets nothing while the others answer, and answers when they do not")
        ]),
      Row(
        failure: "A client disconnects",
        effect:
          "Its request is cancelled at the host, and its plan leaves nothing running. The usage "
          + "until then is booked.",
        proofs: [
          Proof(
            "ClusterTests/BadInputTests", "a client that hangs up is cancelled at the host"),
          Proof(
            "ServiceCoreTests/DispatcherSimulationTests",
            "a client that leaves at any moment leaves nothing running"),
          Proof(
            "ClusterTests/TroubledPlanTests",
            "the usage of a plan is booked, although its client left in mid-answer"),
        ]),
    ])

  private static let services = Section(
    title: "Services",
    rows: [
      Row(
        failure: "A service is killed",
        effect: "The other services stay, and `tutti up` starts it again. A request at the killed "
          + "process may fail; new requests succeed. The log has `service_died`.",
        proofs: [
          Proof(
            "ClusterTests/KillTests",
            "kill -9 of a service: the others stay, it comes back, and new requests succeed"),
          Proof(
            "ClusterTests/EventTests",
            "a broken answer, a dead host, a dead process and a store that refuses are in the log"),
        ]),
      Row(
        failure: "A service crashes",
        effect:
          "The same; the backtrace is in `crashes/` in the data directory. `tutti status` and "
          + "`tutti_process_crashes_total` show the crash.",
        proofs: [
          Proof(
            "ClusterTests/CrashTests",
            "the port is free, the service answers again, and its backtrace is written with names")
        ]),
      Row(
        failure: "The planner is lost while it makes a plan",
        effect: "The gateway asks the next planner.",
        proofs: [
          Proof(
            "GatewayTests/PlanAnswerTests",
            "if the planner is lost, the plan is made by the next one")
        ]),
      Row(
        failure: "A dispatcher is lost in the middle of a plan",
        effect:
          "The next one resumes after the text that the client has, and runs no finished task "
          + "again. An answer that is inside a tool call, or loses two dispatchers, ends with an "
          + "error event.",
        proofs: [
          Proof(
            "ClusterTests/TroubledPlanTests",
            "in mid-answer another one resumes, and the client sees one answer"),
          Proof(
            "GatewayTests/PlanAnswerTests",
            "if the dispatcher is lost, the next one resumes after the text that the client has"),
          Proof(
            "ServiceCoreTests/DispatcherSimulationTests",
            "dispatchers that die at any moment cost no finished task and no word of the answer"),
          Proof(
            "GatewayTests/PlanAnswerTests",
            "a plan that loses two dispatchers ends with an error event"),
          Proof(
            "GatewayTests/PlanAnswerTests", "an answer inside a tool call is not resumed"),
        ]),
      Row(
        failure: "An agent is lost in the middle of a task",
        effect:
          "Another agent of the role gets the task, and resumes the text if it is the answer. "
          + "After three lost agents the task fails.",
        proofs: [
          Proof(
            "ServiceCoreTests/DispatcherCoreTests",
            "a lost agent's task is given to another, avoiding the lost one"),
          Proof(
            "AgentTests/TaskWorkTests",
            "the answer continues a lost agent's text without repeating it"),
          Proof("ServiceCoreTests/DispatcherCoreTests", "three lost agents are enough"),
        ]),
      Row(
        failure: "The critic of a plan is away",
        effect: "The plan is answered without a review, and the trace states that.",
        proofs: [
          Proof(
            "ClusterTests/PatternTests",
            "MAESTRO without a critic answers, and says that the answer was not reviewed")
        ]),
      Row(
        failure: "The gateway is killed",
        effect:
          "Its clients' connections break. After its restart, each answer in its billing journal "
          + "is settled once.",
        proofs: [
          Proof("GatewayTests/SpendingTests", "the journal of a killed gateway is settled once")
        ]),
      Row(
        failure: "The registry is away",
        effect: "The other processes keep their tables: known hosts are used, known keys pass, and "
          + "others get 401. Leased money can be spent until its lease ends; then requests that "
          + "cost money get an error with a time to retry.",
        proofs: [
          Proof(
            "ClusterTests/KeyTests", "while the registry is away, known keys pass and others do not"
          ),
          Proof(
            "ServiceKitTests/HostDirectoryTests",
            "it keeps its table while the registry is gone, and takes only host tables"),
          Proof(
            "MoneyTests/Leases/LeasedBudgetTests",
            "a lease is used while the registry is away, and no longer than it is valid"),
          Proof(
            "GatewayTests/SpendingTests",
            "a registry that is away is no empty budget, and the client may ask again"),
        ]),
      Row(
        failure: "The monitor is away",
        effect:
          "Each process keeps its records in a buffer. If it is full, the oldest are dropped and "
          + "counted in `tutti_telemetry_dropped_total`.",
        proofs: [
          Proof("ServiceKitTests/RecorderTests", "a full buffer drops its oldest and counts it")
        ]),
      Row(
        failure: "A process dies or hangs while another one waits for it",
        effect:
          "Calls and streams to a dead process fail at once; those to a silent one after 3 s.",
        proofs: [
          Proof(
            "BusTests/FaultTests",
            "a peer killed without a goodbye fails calls and streams at once with peerLost"),
          Proof(
            "BusTests/MachineTests",
            "a peer with work of ours is pinged after a second of silence and lost after three"),
        ]),
    ])

  private static let stops = Section(
    title: "The end of a cluster",
    rows: [
      Row(
        failure: "`tutti up` gets SIGTERM, or its lifeline closes",
        effect: "It drains: running answers are finished, new requests are refused, and the exit "
          + "status is 0.",
        proofs: [
          Proof(
            "ClusterTests/KillTests",
            "SIGTERM in the middle of a stream: the stream is finished, and the status is 0"),
          Proof("ClusterTests/KillTests", "the end of its lifeline drains a cluster"),
        ]),
      Row(
        failure: "An answer does not end during the drain",
        effect: "After `cluster.drain_seconds` it ends with one error event and without `[DONE]`.",
        proofs: [
          Proof(
            "ClusterTests/KillTests",
            "a request that never ends holds up the drain until its deadline, and no longer"),
          Proof(
            "ClusterTests/SilentHostTests",
            "a stream that is not done when the drain ends gets one error event, no [DONE], and a "
              + "proper end"),
        ]),
      Row(
        failure: "A service cannot finish its drain",
        effect: "It ends after the deadline with status 1 and a sentence in its log.",
        proofs: [
          Proof(
            "ClusterTests/KillTests",
            "a service that cannot finish its drain is gone at the deadline, with 1 and a sentence")
        ]),
      Row(
        failure: "A second SIGTERM arrives",
        effect: "All processes end at once.",
        proofs: [
          Proof("ClusterTests/KillTests", "a second SIGTERM ends everything at once")
        ]),
      Row(
        failure: "`tutti up` is killed",
        effect: "All services and model servers end, and the data directory can be used again.",
        proofs: [
          Proof(
            "ClusterTests/KillTests",
            "kill -9 of `tutti up`: nothing survives, model servers included")
        ]),
    ])

  private static let stores = Section(
    title: "Stores",
    rows: [
      Row(
        failure: "The registry's store refuses a change of a host",
        effect: "The change is not made, and the command ends with status 1. The log has "
          + "`host_not_saved`.",
        proofs: [
          Proof(
            "ClusterTests/CrashTests",
            "a host that cannot be stored is not there, and one that was is as it was"),
          Proof(
            "ClusterTests/EventTests",
            "a broken answer, a dead host, a dead process and a store that refuses are in the log"),
        ]),
      Row(
        failure: "The store of accounts is away",
        effect: "Changes are refused. Messages of gateways are served when it is back.",
        proofs: [
          Proof(
            "RegistryTests/AccountStoreFaultTests",
            "while the store is away every order is refused, and messages are served afterwards")
        ]),
      Row(
        failure: "MongoDB is away when the registry starts",
        effect: "The registry ends with status 69, and names the address and the setting.",
        proofs: [
          Proof(
            "ClusterTests/MongoAccountsTests",
            "a registry whose MongoDB is away does not start, and names the address and the setting"
          )
        ]),
      Row(
        failure: "A second registry opens the same store",
        effect: "The first one ends, also if it writes nothing.",
        proofs: [
          Proof(
            "RegistryTests/AccountStoreFaultTests",
            "a registry that writes nothing ends too if another one takes over its store")
        ]),
      Row(
        failure: "The disk is full",
        effect:
          "The write fails with the name of the file. Each acknowledged batch of the ledger is "
          + "whole.",
        proofs: [
          Proof(
            "StoreTests/StoreFaultTests",
            "a full disk has a code of its own, and the error names the file"),
          Proof(
            "StoreTests/LedgerStoreTests",
            "a disk that takes no more bytes is reported, and every acknowledged batch is whole"),
        ]),
      Row(
        failure: "The file of a store is damaged",
        effect: "The start is refused with the name of the file, and the file is left as it is.",
        proofs: [
          Proof("StoreTests/StoreFaultTests", "a damaged file is refused and left as it is"),
          Proof(
            "StoreTests/StoreFaultTests",
            "a hosts file damaged in the middle is found at the start"),
          Proof(
            "StoreTests/AccountStoreTests",
            "a damaged file, one of a newer version, and another program's are refused and stay"),
        ]),
      Row(
        failure: "A checkpoint of the ledger is damaged",
        effect: "It is removed, and the whole ledger is read at the start.",
        proofs: [
          Proof(
            "RegistryTests/AccountCheckpointTests",
            "a damaged checkpoint is removed, and the whole ledger is replayed")
        ]),
      Row(
        failure: "A slot of the billing journal is damaged",
        effect: "One answer is not billed. The others are, and a copy of the damaged file is kept.",
        proofs: [
          Proof(
            "BillingJournalTests/BillingJournalTests",
            "one damaged slot loses one answer; the others are returned and the file is kept")
        ]),
      Row(
        failure: "The billing journal is full",
        effect:
          "Requests that cost money are refused until the registry acknowledges a settlement.",
        proofs: [
          Proof(
            "BillingJournalTests/BillingJournalTests",
            "a full journal refuses a request until a settlement is acknowledged")
        ]),
    ])

  private static let ports = Section(
    title: "Ports",
    rows: [
      Row(
        failure: "A changed TLS file is no certificate",
        effect: "The previous certificate stays in use. The log has `tls_unusable`.",
        proofs: [
          Proof(
            "ServiceKitTests/TLSTests",
            "if a changed file is no certificate, the previous one stays in use, reported once")
        ]),
      Row(
        failure: "A process has no file descriptors for further connections",
        effect: "Its port waits and then accepts connections again. The log has "
          + "`connections_not_accepted`.",
        proofs: [
          Proof(
            "ServiceKitTests/ListenerTests",
            "an error that the next attempt would meet, too, pauses the listener")
        ]),
    ])

  static var markdown: String {
    var page = """
      # If a part fails

      Effects of failures, each proved by tests. Generated from
      `Tests/HouseTests/FailuresPage.swift`; change it there and run `make manual`. Warnings and
      errors are in [log events](log-events.md).

      """
    for section in sections {
      page += "\n## \(section.title)\n\n| failure | effect | tests |\n|---|---|---|\n"
      for row in section.rows {
        var suites: [String] = []
        for proof in row.proofs where !suites.contains(proof.suite) { suites.append(proof.suite) }
        let tests = suites.map { "`\($0)`" }.joined(separator: ", ")
        page += "| \(row.failure) | \(row.effect) | \(tests) |\n"
      }
    }
    return page
  }
}
