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

  static let trace = TraceID(high: 1, low: 2)

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

  private static let bodies: [(String, Body)] = clusterBodies + planBodies + moneyBodies

  /// Messages about processes, hosts, keys and settings, and what a process reports.
  private static let clusterBodies: [(String, Body)] = [
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
