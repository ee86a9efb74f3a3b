import Access
import BusCore
import ClusterModel
import Money
import Wire

/// One envelope for each kind of message on the bus.
///
/// `golden.py` has the same envelopes in protobuf's text format, so that an independent
/// implementation reads and writes them too.
enum Samples {
  static let all: [(name: String, envelope: Envelope)] =
    bodies.map { name, body in
      (
        name,
        Envelope(
          messageID: 7, shape: .call, sender: PeerID(name: "gateway-1", incarnation: 11), body: body
        )
      )
    } + [("everything", everything)]

  /// An envelope with every field set.
  static let everything = Envelope(
    messageID: .max, correlationID: 1 << 63, shape: .item,
    sender: PeerID(name: "agent-é", incarnation: .max), toIncarnation: 1,
    remaining: .milliseconds(59_999), sequence: .max,
    trace: TraceContext(
      trace: TraceID(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff), span: SpanID(0xabcd)),
    idempotencyKey: [0, 255, 1], body: .ack)

  /// Text with a NUL, multi-byte characters and a line end.
  static let text = "a\u{0}b é 漢 🎻\n"

  private static let host = Host(
    id: "h1", url: "http://127.0.0.1:11434", dialect: .ollama, resume: .trailingAssistant,
    credential: "env:KEY", tier: .fallback, trust: .local, state: .ready,
    reason: "", models: [ModelOffer(id: "m1", contextTokens: 8_192), ModelOffer(id: "m2")],
    slots: 2, version: "b1", probeMilliseconds: 3,
    price: HostPrice(input: 150_000, output: HostPrice.highest),
    tags: ["eu", "gpu"], region: "fra-1")

  static let sealed = SealedFrame(
    header: SealedFrame.Header(
      sender: PeerID(name: "a\u{0}é", incarnation: 5), counter: .max, key: [UInt8](1...32)),
    proof: [UInt8](repeating: 7, count: 16), body: [UInt8](repeating: 0xFE, count: 40))

  private static let peer = Peer(
    id: PeerID(name: "planner-1", incarnation: 12), service: .planner, mailbox: "ipc:///run/p",
    key: [UInt8](0..<32), version: "0.1.0", ttl: .seconds(5))

  /// A task in which every optional field is set.
  private static let asking = PlanTask(
    id: "p1", role: .research, contract: .json(schema: #"{"type":"é\n"}"#), onFailure: .degrade,
    model: "m1", maxTokens: 64, deadlineShare: 40, temperatureMilli: 0, profile: .extraction,
    seed: 3, dataPolicy: .trusted, readsConversation: false, documents: ["d1", "d2"],
    documentPart: DocumentPart(number: 2, count: 5),
    expansion: "repair", mark: "Reply:")

  private static let plan = Plan(
    id: "plan-1", pattern: "tutti/ensemble",
    tasks: [
      asking,
      PlanTask(
        id: "sink", role: .coordinator, instruction: text,
        inputs: [Edge(from: "p1", name: "Answer 1")], merge: .synthesise, onFailure: .skip,
        quorum: 1, deadline: .milliseconds(1_500)),
    ], sink: "sink", seed: 5, deadline: .seconds(60), reason: "two questions", expansions: 2,
    estimate: PlanEstimate(
      decision: .split,
      direct: .init(milliseconds: 9_800, writingMilliseconds: 9_000, tokens: 400),
      split: .init(milliseconds: 4_100, writingMilliseconds: 3_600, tokens: 420)))

  private static let request = PlanRequest(
    pattern: "tutti/ensemble", query: text, models: ["m1"], members: 3, rounds: 2, quorum: 2,
    seed: .max, maxTokens: 100, available: ["m1", "m2"], budgetTokens: 1 << 40,
    dataPolicy: .trusted,
    hosts: [
      HostFacts(
        id: "h1", models: ["m1", "m2"], freeSlots: 3, rateMilli: 12_500,
        firstTokenMilliseconds: 80, slowdownPercent: 0, contextTokens: ["m2": 131_072]),
      HostFacts(id: "h2", models: [], freeSlots: 0),
    ], documents: [DocumentFacts(name: "d1", bytes: 1 << 33)], conversationTokens: 1 << 34,
    isStructured: true, correction: EstimateCorrection(directPercent: 90, splitPercent: 180))

  private static let inputs = [
    TaskOrder.NamedInput(name: "Answer 1", text: text, weightMilli: 0),
    TaskOrder.NamedInput(name: "Answer 2", text: "b", weightMilli: 1_000),
    TaskOrder.NamedInput(name: "Answer 3", text: "c"),
  ]

  private static let documents = [
    Document(name: "d1", text: text), Document(name: "d2", text: ""),
  ]

  /// Tasks for every contract, and for the merge rules and profiles that the tasks above lack.
  private static let subPlan = SubPlan(
    tasks: [
      PlanTask(id: "s1", role: .code, contract: .choice(["yes", "no é"]), profile: .factual),
      PlanTask(
        id: "s2", role: .critic, inputs: [Edge(from: "s1", name: "a")], merge: .summarise,
        contract: .vector, profile: .creative),
      PlanTask(
        id: "s3", role: .reasoning, inputs: [Edge(from: "s2", name: "a")], merge: .concatenate,
        profile: .code, documents: [PlanTask.everyDocument]),
      PlanTask(
        id: "s4", role: .creative, inputs: [Edge(from: "s3", name: "a")], merge: .replace,
        profile: .reasoning),
      PlanTask(
        id: "s5", role: .coordinator, inputs: [Edge(from: "s4", name: "a")], merge: .vote,
        contract: .json(schema: "")),
      PlanTask(
        id: "s6", role: .coordinator, inputs: [Edge(from: "s5", name: "a")], merge: .agree),
    ], output: "s6")

  private static let conversation = Conversation(
    messagesJSON: Array(#"[{"role":"user","content":"é"}]"#.utf8),
    parameters: [Conversation.Parameter(name: "stop", json: Array(#"["\n"]"#.utf8))])

  private static let report = TaskReport(
    host: "h1", model: "m1",
    usage: Usage(promptTokens: 10, cachedTokens: 4, completionTokens: 20, estimated: true),
    firstTokenMilliseconds: 30, totalMilliseconds: 400, finishReason: "stop", output: text,
    inferences: [
      TaskInference(
        model: "m1",
        usage: Usage(promptTokens: 6, cachedTokens: 4, completionTokens: 20, estimated: true),
        attempts: [
          PaidAttempt(host: "h2", model: "é", tokens: 3, outcome: .beaten),
          PaidAttempt(host: "h3", model: "m1", tokens: 5, outcome: .failed),
          PaidAttempt(
            host: "h1", model: "m1", tier: .fallback, tokens: 5_000_000, outcome: .delivered),
        ]),
      TaskInference(model: "é", usage: .zero, attempts: []),
    ])

  private static let broken = TaskReport(
    host: "h1", model: "m1", usage: .zero, firstTokenMilliseconds: 1, totalMilliseconds: 2,
    finishReason: "length", output: "{", contractMet: false)

  private static let began = TaskBegan(
    host: "h1", model: "m1", firstTokenMilliseconds: 30,
    excerpts: [
      DocumentExcerpt(document: "d1", bytes: 5_000_000_000, readBytes: 24_000),
      DocumentExcerpt(document: "é", bytes: 7, readBytes: 0),
    ])

  private static let trace = TraceID(high: 1, low: 2)

  private static let secret: [UInt8] = Array(0..<32)
  private static let accessVersion = AccessTableVersion(epoch: 9, revision: 6)
  private static let accessPage = AccessTablePage(
    version: accessVersion, page: 1, pages: 2, isOpen: false, pepper: KeyPepper(secret)!,
    records: [
      KeyRecord(
        id: KeyID("abcdefghijkl")!, name: "é", account: AccountPath("acme/research")!,
        hash: KeyHash(secret)!, scopes: [.chat, .adminRead],
        permissions: KeyPermissions(
          models: ["m1", "org/m2"], patterns: [.debate], dataPolicies: [.local],
          hostPools: ["gpu"]),
        limits: KeyLimits(
          requestsPerMinute: 60, requestsPerDay: 1_000, tokensPerMinute: 9_000,
          tokensPerDay: 5_000_000_000, concurrentRequests: 4),
        state: .disabled, expiresAt: 1_900_000_000_000, replaces: KeyID("mnopqrstuvwx")!,
        graceUntil: 1_800_000_000_000),
      KeyRecord(
        id: KeyID("mnopqrstuvwx")!, name: "old", account: AccountPath("acme")!,
        hash: KeyHash(secret)!, scopes: []),
    ])

  private static let lease = LeaseID(gateway: PeerID(name: "gateway-1", incarnation: 12), number: 3)
  private static let leaseSettlement = LeaseSettlement(
    lease: lease, key: AccountID("abcdefghijkl"), number: 4, request: 5,
    hold: MicroCredits(.max), billed: MicroCredits(7))
  private static let renewal = LeaseRenewal(
    gateway: PeerID(name: "gateway-1", incarnation: 12), number: 6, oldest: 2, confirmed: 3)
  private static let leaseReturn = LeaseReturn(
    lease: lease, returned: MicroCredits(5), withdrawn: 2, closes: true)
  private static let tokenPrice = try! TokenPrice(
    input: MicroCredits(150_000), cachedInput: MicroCredits(15_000), output: TokenPrice.highest)
  private static let settlement = Settlement(
    lease: leaseSettlement, trace: "00000000000000010000000000000002", model: "m1",
    admittedAt: 1_900_000_000_000, price: tokenPrice,
    answers: [
      SettledAnswer(
        usage: try! TokenUsage(prompt: 8, cached: 3, completion: 9),
        attempts: [
          SettledAttempt(
            host: "h1", model: "m1", usage: try! TokenUsage(prompt: 8, cached: 3, completion: 12),
            contributed: 9, role: .winner, hostPrice: tokenPrice),
          SettledAttempt(
            host: "h2", model: "m1", usage: try! TokenUsage(prompt: 8, completion: 1),
            contributed: 0, role: .loser),
        ]),
      SettledAnswer(usage: .zero, attempts: [], price: .free),
    ])
  private static let priceTable = try! PriceTable(
    epoch: 9, revision: 8, unknown: .free,
    rows: [
      PriceRow(model: "m1", effectiveFrom: -1, price: tokenPrice),
      PriceRow(model: "é", effectiveFrom: 1_900_000_000_000, price: .free),
    ])

  private static let bodies: [(String, Body)] = [
    (
      "failure",
      .failure(Failure(.overloaded, text, retryAfter: .milliseconds(250), param: "tutti.rounds"))
    ),
    ("ack", .ack),
    ("fragment", .fragment(Body.Fragment(index: 1, count: 2, data: [0, 1, 255]))),
    ("hello", .hello(peer)),
    ("goodbye", .goodbye(PeerID(name: "planner-1", incarnation: 12))),
    (
      "peer_table",
      .peerTable(
        PeerTable(
          epoch: 9, revision: 4,
          peers: [
            peer,
            Peer(
              id: PeerID(name: "x", incarnation: 1), service: .other("later"),
              mailbox: "tcp://10.0.0.1:7400", version: "9", ttl: .milliseconds(1)),
          ]))
    ),
    ("host_table_request", .hostTableRequest),
    ("host_table", .hostTable(HostTable(epoch: 9, revision: 5, hosts: [host]))),
    (
      "host_changes",
      .hostChanges(
        HostChanges(epoch: 9, base: 5, revision: 6, changed: [host], removed: ["h0", "h9"]))
    ),
    (
      "load_report",
      .loadReport(
        LoadReport(
          sequence: 7,
          hosts: [
            HostLoadReport(
              host: "h1", inFlight: 3,
              firstTokens: [.init(bucket: 40, count: 2), .init(bucket: 0, count: 1)], answered: 4,
              failed: 1,
              flow: TokenFlow(tokens: 900, over: .milliseconds(1_500), concurrency: 1.5), trips: 1,
              isOpen: true),
            HostLoadReport(host: "h2"),
          ]))
    ),
    (
      "load_table",
      .loadTable(
        LoadTable(
          epoch: 9, revision: 5,
          hosts: [
            HostLoad(
              host: "h1", inFlight: 30, firstTokenP50: .milliseconds(100),
              firstTokenP95: .milliseconds(400), samples: 2.5, errorRate: 0.125,
              tokensPerSecond: 20.5, slowdown: 0.25, openBreakers: 2, probeAge: .zero),
            HostLoad(host: "h2"),
          ],
          merged: [.init(peer: PeerID(name: "gateway", incarnation: 12), sequence: 7)]))
    ),
    ("access_table_version", .accessTableVersion(accessVersion)),
    ("access_page_request", .accessPageRequest(page: 3)),
    ("access_table_page", .accessTablePage(accessPage)),
    (
      "access_table_open",
      .accessTablePage(
        AccessTablePage(
          version: AccessTableVersion(epoch: 9, revision: 1), page: 0, pages: 1, isOpen: true,
          pepper: KeyPepper(secret)!, records: []))
    ),
    ("plan_request", .planRequest(request)),
    ("plan", .plan(plan)),
    (
      "expand_request",
      .expandRequest(
        ExpandRequest(plan: plan, task: "p1", output: text, inputs: inputs, request: request))
    ),
    ("sub_plan", .subPlan(subPlan)),
    ("sub_plan_empty", .subPlan(.nothing(after: "p1"))),
    (
      "run_plan",
      .runPlan(
        PlanOrder(
          plan: plan, conversation: conversation, finished: ["p1": report],
          skipped: [
            "p2": .init(
              reason: text, usage: Usage(promptTokens: 5, completionTokens: 6, estimated: true))
          ], dataPolicy: .local, pools: HostPools(["gpu", "eu"]),
          models: AllowedModels(["m2", "m1"]), request: request, documents: documents,
          client: "key é",
          sinkPrefix: text, dispatch: 2))
    ),
    (
      "run_plan_small",
      .runPlan(
        PlanOrder(
          plan: Plan(
            id: "plan-2", pattern: "tutti/auto", tasks: [PlanTask(id: "t", role: .reasoning)],
            sink: "t", seed: 0, deadline: .seconds(1)), conversation: conversation))
    ),
    (
      "plan_event_started",
      .planEvent(.started(task: "p1", role: .critic, agent: "agent-critic-1", attempt: 2))
    ),
    ("plan_event_first_token", .planEvent(.firstToken(task: "p1", began))),
    (
      "plan_event_ended",
      .planEvent(
        .ended(
          TaskEnded(
            task: "p1", role: .code, agent: "agent-code-1", status: .degraded, reason: "one input",
            report: report, textOf: "p2")))
    ),
    (
      "plan_event_failed",
      .planEvent(.ended(TaskEnded(task: "p1", role: .creative, agent: "", status: .failed)))
    ),
    ("plan_event_expanded", .planEvent(.expanded(task: "p1", subPlan))),
    ("plan_event_delta", .planEvent(.delta(TaskDelta(text: text)))),
    (
      "plan_event_finished",
      .planEvent(
        .finished(
          PlanFinished(
            finishReason: "length", usage: Usage(promptTokens: 1, completionTokens: 2),
            sinkUsage: .zero)))
    ),
    (
      "plan_costs",
      .planCosts(
        PlanCosts(trace: trace, dispatch: 2, tasks: [.init(task: "p1", report: report)]))
    ),
    ("plan_costs_empty", .planCosts(PlanCosts(trace: trace, dispatch: 1, tasks: []))),
    (
      "run_task",
      .runTask(
        TaskOrder(
          plan: "plan-1", task: plan.tasks[1], conversation: conversation,
          inputs: inputs, isSink: true,
          dataPolicy: .any, pools: HostPools(["gpu"]), models: AllowedModels(["org/m"]),
          avoidHosts: ["h2", "h3"],
          terms: InferenceTerms(
            race: .hedged, firstToken: .milliseconds(700), interToken: .milliseconds(500),
            minimumRate: 1.5), documents: documents, prefix: text,
          host: "h1", sparesTokens: true, isPart: true, client: "0123456789abcdef"))
    ),
    ("task_event_began", .taskEvent(.began(began))),
    (
      "task_event_delta",
      .taskEvent(.delta(TaskDelta(text: "", deltaJSON: Array(#"{"tool_calls":[]}"#.utf8))))
    ),
    ("task_event_finished", .taskEvent(.finished(report))),
    ("task_event_broken_contract", .taskEvent(.finished(broken))),
    (
      "telemetry",
      .telemetry(
        TelemetryBatch(
          service: "gateway", instance: "gateway-1",
          logs: [
            LogRecord(
              timeUnixMicroseconds: 1_700_000_000_000_000, level: "info", service: "gateway",
              message: text, trace: trace, attributes: [Attribute("k", "v")]),
            LogRecord(timeUnixMicroseconds: 1, level: "error", service: "gateway", message: ""),
          ],
          spans: [
            SpanRecord(
              trace: trace, span: SpanID(3), parent: SpanID(4), service: "gateway", name: "infer",
              startUnixMicroseconds: 5, durationMicroseconds: 6, failed: true,
              attributes: [Attribute("host", "h1")])
          ],
          requests: [
            RequestRecord(
              trace: trace, timeUnixMicroseconds: 7, key: "abcdefghij23",
              endpoint: "/v1/chat/completions", model: "tutti/fast", pattern: "direct",
              stream: true, status: 499,
              errorCode: "cancelled", host: "h1",
              usage: Usage(
                promptTokens: 8, cachedTokens: 3, completionTokens: 9, estimated: true),
              finishReason: "length", cost: CreditAmount(millionths: 12),
              hostCost: CreditAmount.zero,
              shares: [
                HostShare(
                  host: "h1", model: "m1", promptTokens: 8, completionTokens: 9,
                  cost: CreditAmount(millionths: 13)),
                HostShare(host: "h2", model: "m1", promptTokens: 8, completionTokens: 1),
              ],
              firstTokenMilliseconds: 10, totalMilliseconds: 11),
            RequestRecord(
              trace: trace, timeUnixMicroseconds: 7, endpoint: "/v1/models", model: "",
              pattern: "direct", stream: false, status: 404, totalMilliseconds: 0),
          ],
          metrics: [
            MetricFamily(
              name: "tutti_requests_total", help: "Requests.", kind: .histogram,
              samples: [
                MetricFamily.Sample(
                  suffix: "_bucket", labels: [Attribute("le", "+Inf")], value: 1.5),
                MetricFamily.Sample(value: -0.25),
              ])
          ]))
    ),
    (
      "lease_ask",
      .leaseRequest(
        .ask(
          LeaseAsk(
            lease: lease, key: AccountID("abcdefghijkl"), number: 9, granted: MicroCredits(10),
            returned: MicroCredits(1), held: MicroCredits(2), minimum: MicroCredits(3),
            worst: MicroCredits(4), want: MicroCredits(5), isLastCall: true)))
    ),
    ("lease_give_back", .leaseRequest(.giveBack(leaseReturn))),
    ("lease_settle", .leaseRequest(.settle(leaseSettlement))),
    ("lease_renew", .leaseRequest(.renew(renewal))),
    (
      "lease_granted",
      .leaseAnswer(
        .granted(
          LeaseGrant(
            lease: lease, ask: 9, total: MicroCredits(20), isRest: true,
            ceiling: Ceiling(
              id: CeilingID("org/é"), remaining: MicroCredits(-4), resetsAt: 1_900_000_000_000))))
    ),
    (
      "lease_refused",
      .leaseAnswer(
        .refused(
          lease, ask: 9,
          .ceiling(
            Ceiling(
              id: CeilingID("key/é"), remaining: MicroCredits(-4), resetsAt: 1_900_000_000_000))))
    ),
    (
      "lease_waiting",
      .leaseAnswer(
        .waiting(
          lease, ask: 9, .ceiling(Ceiling(id: CeilingID("org/a"), remaining: MicroCredits(1)))))
    ),
    ("lease_refused_key", .leaseAnswer(.refused(lease, ask: 9, .key))),
    ("lease_refused_invalid", .leaseAnswer(.refused(lease, ask: 9, .invalid))),
    ("lease_waiting_leases", .leaseAnswer(.waiting(lease, ask: 9, .tooManyLeases))),
    ("lease_recalled", .leaseAnswer(.recalled(lease))),
    ("lease_returned", .leaseAnswer(.returned(leaseReturn))),
    ("lease_renewed", .leaseAnswer(.renewed(renewal, settledThrough: 4))),
    ("lease_settled", .leaseAnswer(.settled(lease.gateway, through: 4))),
    ("lease_ended", .leaseAnswer(.ended(lease.gateway, through: 3))),
    ("lease_unknown", .leaseAnswer(.unknown(lease))),
    ("settlements", .settlements([settlement, settlement])),
    ("price_table_request", .priceTableRequest),
    ("price_table", .priceTable(priceTable)),
    (
      "price_table_empty",
      .priceTable(try! PriceTable(epoch: 9, revision: 1, unknown: .refuse))
    ),
    ("settings_table_request", .settingsTableRequest),
    (
      "settings_table",
      .settingsTable(
        RuntimeSettingsTable(
          epoch: 9, revision: 7,
          overrides: RuntimeOverrides(texts: [
            (id: "gateway.max_requests", value: "1024"), (id: "inference.race", value: "hedged"),
          ])))
    ),
    (
      "settings_table_empty",
      .settingsTable(RuntimeSettingsTable(epoch: 9, revision: 0, overrides: .none))
    ),
    ("spending_query", .spendingQuery(SpendingQuery(key: AccountID("key/é"), days: 31))),
    (
      "spending_report",
      .spendingReport(
        SpendingReport(
          key: AccountID("key/é"),
          budgets: [
            SpendingReport.Budget(
              owner: .team, id: "acme/lab", window: BudgetWindow(.rolling, .quarter),
              amount: MicroCredits(9), spent: MicroCredits(11), resetsAt: 1_900_000_000_000),
            SpendingReport.Budget(
              owner: .key, id: "", window: BudgetWindow(.calendar, .hour), amount: .zero,
              spent: .zero, resetsAt: nil),
          ],
          balance: SpendingReport.Balance(
            organisation: "acme", available: MicroCredits(-4), held: MicroCredits(3)),
          rows: [
            DailyUsage.Row(
              day: 20_000, model: "m1", requests: 2,
              usage: try! TokenUsage(prompt: 8, cached: 3, completion: 9), cost: MicroCredits(7))
          ], firstDay: -1))
    ),
    (
      "spending_report_empty",
      .spendingReport(
        SpendingReport(key: AccountID(""), budgets: [], balance: nil, rows: [], firstDay: 0))
    ),
    (
      "key_use_report",
      .keyUseReport(
        KeyUseReport(
          epoch: 9, after: 5, hour: 475_001,
          uses: [
            DayUse(
              key: KeyID("abcdefghijkl")!,
              hours: [
                HourlyUse(hour: 475_000, requests: 2, tokens: 1_000_000_000_000),
                HourlyUse(hour: -1, tokens: 3),
              ]),
            DayUse(key: KeyID("mnopqrstuvwx")!, hours: []),
          ]))
    ),
    ("key_use_report_empty", .keyUseReport(KeyUseReport(epoch: 0, after: 0, hour: 0, uses: []))),
    (
      "key_use_table",
      .keyUseTable(
        KeyUseTable(
          epoch: 9, revision: 7, isComplete: true,
          uses: [
            DayUse(key: KeyID("abcdefghijkl")!, hours: [HourlyUse(hour: 475_001, requests: 4)])
          ], unrecorded: [KeyID("mnopqrstuvwx")!]))
    ),
    (
      "key_use_table_partial",
      .keyUseTable(KeyUseTable(epoch: 9, revision: 0, isComplete: false, uses: []))
    ),
  ]
}
