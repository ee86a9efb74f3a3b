public import Access
public import ClusterModel
public import Money

/// One bus message as services see it, without C or protobuf types. `Proto/tutti/v1/envelope.proto`
/// documents each field.
public struct Envelope: Equatable, Sendable {
  /// The schema version of this code.
  public static let version: UInt32 = 1

  public var messageID: UInt64
  /// The `messageID` of the call or stream that this message belongs to; 0 means none.
  public var correlationID: UInt64
  public var shape: Shape
  public var sender: PeerID
  /// The incarnation that the message is for. `nil` means any.
  public var toIncarnation: UInt64?
  /// Time left when the message was sent. `nil` means no deadline.
  public var remaining: Duration?
  public var sequence: UInt32
  public var trace: TraceContext?
  public var idempotencyKey: [UInt8]
  public var body: Body

  public init(
    messageID: UInt64, correlationID: UInt64 = 0, shape: Shape, sender: PeerID,
    toIncarnation: UInt64? = nil, remaining: Duration? = nil, sequence: UInt32 = 0,
    trace: TraceContext? = nil, idempotencyKey: [UInt8] = [], body: Body
  ) {
    self.messageID = messageID
    self.correlationID = correlationID
    self.shape = shape
    self.sender = sender
    self.toIncarnation = toIncarnation
    self.remaining = remaining
    self.sequence = sequence
    self.trace = trace
    self.idempotencyKey = idempotencyKey
    self.body = body
  }

  public enum Shape: UInt32, Sendable, CaseIterable {
    case call = 1, reply, open, item, end, cancel, cast, publish, ping, pong
  }
}

/// Content of a message.
public enum Body: Equatable, Sendable {
  case failure(Failure)
  case ack
  case fragment(Fragment)

  case hello(Peer)
  case goodbye(PeerID)
  case peerTable(PeerTable)
  case hostTableRequest
  case hostTable(HostTable)
  case hostChanges(HostChanges)
  case loadReport(LoadReport)
  case loadTable(LoadTable)
  case accessTableVersion(AccessTableVersion)
  /// Asks for this page of the current access table.
  case accessPageRequest(page: Int)
  case accessTablePage(AccessTablePage)

  case planRequest(PlanRequest)
  case plan(Plan)
  case expandRequest(ExpandRequest)
  case subPlan(SubPlan)

  case runPlan(PlanOrder)
  case planEvent(PlanEvent)
  case planCosts(PlanCosts)

  case runTask(TaskOrder)
  case taskEvent(TaskEvent)

  case telemetry(TelemetryBatch)

  case leaseRequest(LeaseRequest)
  case leaseAnswer(LeaseAnswer)
  case settlements([Settlement])
  /// Asks the registry for its price table.
  case priceTableRequest
  case priceTable(PriceTable)
  case spendingQuery(SpendingQuery)
  case spendingReport(SpendingReport)
  case keyUseReport(KeyUseReport)
  case keyUseTable(KeyUseTable)

  case skillReport(SkillReport)
  case skillTable(SkillTable)

  /// Asks the registry for the settings that admins have changed.
  case settingsTableRequest
  case settingsTable(RuntimeSettingsTable)

  /// A piece of a packed envelope that is larger than one frame.
  public struct Fragment: Equatable, Sendable {
    public var index: UInt32
    public var count: UInt32
    public var data: [UInt8]

    public init(index: UInt32, count: UInt32, data: [UInt8]) {
      self.index = index
      self.count = count
      self.data = data
    }
  }
}
