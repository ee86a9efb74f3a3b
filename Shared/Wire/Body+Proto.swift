import Access
import BusCore
import CProtobufC
import ClusterModel
import ClusterProto
import Money

extension Arena {
  func fill(_ message: UnsafeMutablePointer<Tutti__V1__Envelope>, _ body: Body) {
    switch body {
    case .failure(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_FAILURE
      unsafe message.pointee.failure = failure(value)
    case .ack:
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_ACK
      unsafe message.pointee.ack = make(tutti__v1__ack__init)
    case .fragment(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_FRAGMENT
      unsafe message.pointee.fragment = fragment(value)
    case .hello(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_HELLO
      unsafe message.pointee.hello = hello(value)
    case .goodbye(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_GOODBYE
      unsafe message.pointee.goodbye = goodbye(value)
    case .peerTable(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_PEER_TABLE
      unsafe message.pointee.peer_table = peerTable(value)
    case .hostTableRequest:
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_HOST_TABLE_REQUEST
      unsafe message.pointee.host_table_request = make(tutti__v1__host_table_request__init)
    case .hostTable(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_HOST_TABLE
      unsafe message.pointee.host_table = hostTable(value)
    case .hostChanges(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_HOST_CHANGES
      unsafe message.pointee.host_changes = hostChanges(value)
    case .loadReport(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_LOAD_REPORT
      unsafe message.pointee.load_report = loadReport(value)
    case .loadTable(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_LOAD_TABLE
      unsafe message.pointee.load_table = loadTable(value)
    case .accessTableVersion(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_ACCESS_TABLE_VERSION
      unsafe message.pointee.access_table_version = accessTableVersion(value)
    case .accessPageRequest(let page):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_ACCESS_PAGE_REQUEST
      unsafe message.pointee.access_page_request = accessPageRequest(page: page)
    case .accessTablePage(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_ACCESS_TABLE_PAGE
      unsafe message.pointee.access_table_page = accessTablePage(value)
    case .planRequest(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_PLAN_REQUEST
      unsafe message.pointee.plan_request = planRequest(value)
    case .plan(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_PLAN
      unsafe message.pointee.plan = plan(value)
    case .expandRequest(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_EXPAND_REQUEST
      unsafe message.pointee.expand_request = expandRequest(value)
    case .subPlan(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SUB_PLAN
      unsafe message.pointee.sub_plan = subPlan(value)
    case .runPlan(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_RUN_PLAN
      unsafe message.pointee.run_plan = runPlan(value)
    case .planEvent(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_PLAN_EVENT
      unsafe message.pointee.plan_event = planEvent(value)
    case .planCosts(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_PLAN_COSTS
      unsafe message.pointee.plan_costs = planCosts(value)
    case .runTask(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_RUN_TASK
      unsafe message.pointee.run_task = runTask(value)
    case .taskEvent(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_TASK_EVENT
      unsafe message.pointee.task_event = taskEvent(value)
    case .telemetry(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_TELEMETRY
      unsafe message.pointee.telemetry = telemetry(value)
    case .leaseRequest(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_LEASE_REQUEST
      unsafe message.pointee.lease_request = leaseRequest(value)
    case .leaseAnswer(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_LEASE_ANSWER
      unsafe message.pointee.lease_answer = leaseAnswer(value)
    case .settlements(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SETTLEMENTS
      unsafe message.pointee.settlements = settlements(value)
    case .priceTableRequest:
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_PRICE_TABLE_REQUEST
      unsafe message.pointee.price_table_request = make(tutti__v1__price_table_request__init)
    case .priceTable(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_PRICE_TABLE
      unsafe message.pointee.price_table = priceTable(value)
    case .settingsTableRequest:
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SETTINGS_TABLE_REQUEST
      unsafe message.pointee.settings_table_request = make(
        tutti__v1__settings_table_request__init)
    case .settingsTable(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SETTINGS_TABLE
      unsafe message.pointee.settings_table = settingsTable(value)
    case .spendingQuery(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SPENDING_QUERY
      unsafe message.pointee.spending_query = spendingQuery(value)
    case .spendingReport(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SPENDING_REPORT
      unsafe message.pointee.spending_report = spendingReport(value)
    case .keyUseReport(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_KEY_USE_REPORT
      unsafe message.pointee.key_use_report = keyUseReport(value)
    case .keyUseTable(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_KEY_USE_TABLE
      unsafe message.pointee.key_use_table = keyUseTable(value)
    case .skillReport(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SKILL_REPORT
      unsafe message.pointee.skill_report = skillReport(value)
    case .skillTable(let value):
      unsafe message.pointee.body_case = TUTTI__V1__ENVELOPE__BODY_SKILL_TABLE
      unsafe message.pointee.skill_table = skillTable(value)
    }
  }

  private func failure(_ failure: Failure) -> UnsafeMutablePointer<Tutti__V1__Failure> {
    let message = unsafe make(tutti__v1__failure__init)
    unsafe message.pointee.code = text(failure.code.rawValue)
    unsafe message.pointee.message = text(failure.message)
    unsafe message.pointee.retry_after_ms = failure.retryAfter?.wireMilliseconds ?? 0
    unsafe message.pointee.param = text(failure.param ?? "")
    return unsafe message
  }

  private func fragment(_ fragment: Body.Fragment) -> UnsafeMutablePointer<Tutti__V1__Fragment> {
    let message = unsafe make(tutti__v1__fragment__init)
    unsafe message.pointee.index = fragment.index
    unsafe message.pointee.count = fragment.count
    unsafe message.pointee.data = bytes(fragment.data)
    return unsafe message
  }
}

extension Failure {
  init(wire message: Tutti__V1__Failure) throws(WireError) {
    let retry = unsafe message.retry_after_ms
    let param = try unsafe String(wire: message.param, "Failure.param")
    self.init(
      Code(rawValue: try unsafe String(wire: message.code, "Failure.code")),
      try unsafe String(wire: message.message, "Failure.message"),
      retryAfter: retry == 0 ? nil : .milliseconds(retry),
      param: param.isEmpty ? nil : param)
  }
}

extension Body {
  init(wire message: Tutti__V1__Envelope) throws(WireError) {
    switch unsafe message.body_case {
    case TUTTI__V1__ENVELOPE__BODY_FAILURE:
      self = .failure(
        try unsafe required(message.failure, "Envelope.failure") { value throws(WireError) in
          try unsafe Failure(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_ACK: self = .ack
    case TUTTI__V1__ENVELOPE__BODY_FRAGMENT:
      self = try unsafe required(message.fragment, "Envelope.fragment") { value throws(WireError) in
        .fragment(
          Fragment(
            index: unsafe value.index, count: unsafe value.count,
            data: unsafe [UInt8](wire: value.data)))
      }
    case TUTTI__V1__ENVELOPE__BODY_HELLO:
      self = try unsafe required(message.hello, "Envelope.hello") { hello throws(WireError) in
        .hello(
          try unsafe required(hello.peer, "Hello.peer") { peer throws(WireError) in
            try unsafe Peer(wire: peer)
          })
      }
    case TUTTI__V1__ENVELOPE__BODY_GOODBYE:
      self = try unsafe required(message.goodbye, "Envelope.goodbye") { value throws(WireError) in
        .goodbye(
          PeerID(
            name: try unsafe String(wire: value.name, "Goodbye.name"),
            incarnation: unsafe value.incarnation))
      }
    case TUTTI__V1__ENVELOPE__BODY_PEER_TABLE:
      self = .peerTable(
        try unsafe required(message.peer_table, "Envelope.peer_table") { value throws(WireError) in
          try unsafe PeerTable(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_HOST_TABLE_REQUEST: self = .hostTableRequest
    case TUTTI__V1__ENVELOPE__BODY_HOST_TABLE:
      self = .hostTable(
        try unsafe required(message.host_table, "Envelope.host_table") { value throws(WireError) in
          try unsafe HostTable(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_HOST_CHANGES:
      self = .hostChanges(
        try unsafe required(message.host_changes, "Envelope.host_changes") {
          value throws(WireError) in try unsafe HostChanges(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_LOAD_REPORT:
      self = .loadReport(
        try unsafe required(message.load_report, "Envelope.load_report") {
          value throws(WireError) in try unsafe LoadReport(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_LOAD_TABLE:
      self = .loadTable(
        try unsafe required(message.load_table, "Envelope.load_table") { value throws(WireError) in
          try unsafe LoadTable(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_ACCESS_TABLE_VERSION:
      self = .accessTableVersion(
        try unsafe required(message.access_table_version, "Envelope.access_table_version") {
          value throws(WireError) in
          unsafe AccessTableVersion(epoch: value.epoch, revision: value.revision)
        })
    case TUTTI__V1__ENVELOPE__BODY_ACCESS_PAGE_REQUEST:
      self = .accessPageRequest(
        page: try unsafe required(message.access_page_request, "Envelope.access_page_request") {
          value throws(WireError) in unsafe Int(value.page)
        })
    case TUTTI__V1__ENVELOPE__BODY_ACCESS_TABLE_PAGE:
      self = .accessTablePage(
        try unsafe required(message.access_table_page, "Envelope.access_table_page") {
          value throws(WireError) in try unsafe AccessTablePage(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_PLAN_REQUEST:
      self = .planRequest(
        try unsafe required(message.plan_request, "Envelope.plan_request") {
          value throws(WireError) in try unsafe PlanRequest(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_PLAN:
      self = .plan(
        try unsafe required(message.plan, "Envelope.plan") { value throws(WireError) in
          try unsafe Plan(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_EXPAND_REQUEST:
      self = .expandRequest(
        try unsafe required(message.expand_request, "Envelope.expand_request") {
          value throws(WireError) in try unsafe ExpandRequest(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_SUB_PLAN:
      self = .subPlan(
        try unsafe required(message.sub_plan, "Envelope.sub_plan") { value throws(WireError) in
          try unsafe SubPlan(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_RUN_PLAN:
      self = .runPlan(
        try unsafe required(message.run_plan, "Envelope.run_plan") { value throws(WireError) in
          try unsafe PlanOrder(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_PLAN_EVENT:
      self = .planEvent(
        try unsafe required(message.plan_event, "Envelope.plan_event") { value throws(WireError) in
          try unsafe PlanEvent(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_PLAN_COSTS:
      self = .planCosts(
        try unsafe required(message.plan_costs, "Envelope.plan_costs") { value throws(WireError) in
          try unsafe PlanCosts(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_RUN_TASK:
      self = .runTask(
        try unsafe required(message.run_task, "Envelope.run_task") { value throws(WireError) in
          try unsafe TaskOrder(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_TASK_EVENT:
      self = .taskEvent(
        try unsafe required(message.task_event, "Envelope.task_event") { value throws(WireError) in
          try unsafe TaskEvent(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_TELEMETRY:
      self = .telemetry(
        try unsafe required(message.telemetry, "Envelope.telemetry") { value throws(WireError) in
          try unsafe TelemetryBatch(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_LEASE_REQUEST:
      self = .leaseRequest(
        try unsafe required(message.lease_request, "Envelope.lease_request") {
          value throws(WireError) in try unsafe LeaseRequest(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_LEASE_ANSWER:
      self = .leaseAnswer(
        try unsafe required(message.lease_answer, "Envelope.lease_answer") {
          value throws(WireError) in try unsafe LeaseAnswer(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_SETTLEMENTS:
      self = .settlements(
        try unsafe required(message.settlements, "Envelope.settlements") {
          value throws(WireError) in try unsafe settlementList(value)
        })
    case TUTTI__V1__ENVELOPE__BODY_PRICE_TABLE_REQUEST: self = .priceTableRequest
    case TUTTI__V1__ENVELOPE__BODY_PRICE_TABLE:
      self = .priceTable(
        try unsafe required(message.price_table, "Envelope.price_table") {
          value throws(WireError) in try unsafe PriceTable(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_SETTINGS_TABLE_REQUEST: self = .settingsTableRequest
    case TUTTI__V1__ENVELOPE__BODY_SETTINGS_TABLE:
      self = .settingsTable(
        try unsafe required(message.settings_table, "Envelope.settings_table") {
          value throws(WireError) in try unsafe RuntimeSettingsTable(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_SPENDING_QUERY:
      self = .spendingQuery(
        try unsafe required(message.spending_query, "Envelope.spending_query") {
          value throws(WireError) in try unsafe SpendingQuery(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_SPENDING_REPORT:
      self = .spendingReport(
        try unsafe required(message.spending_report, "Envelope.spending_report") {
          value throws(WireError) in try unsafe SpendingReport(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_KEY_USE_REPORT:
      self = .keyUseReport(
        try unsafe required(message.key_use_report, "Envelope.key_use_report") {
          value throws(WireError) in try unsafe KeyUseReport(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_KEY_USE_TABLE:
      self = .keyUseTable(
        try unsafe required(message.key_use_table, "Envelope.key_use_table") {
          value throws(WireError) in try unsafe KeyUseTable(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_SKILL_REPORT:
      self = .skillReport(
        try unsafe required(message.skill_report, "Envelope.skill_report") {
          value throws(WireError) in try unsafe SkillReport(wire: value)
        })
    case TUTTI__V1__ENVELOPE__BODY_SKILL_TABLE:
      self = .skillTable(
        try unsafe required(message.skill_table, "Envelope.skill_table") {
          value throws(WireError) in try unsafe SkillTable(wire: value)
        })
    default: throw .unknownValue(field: "Envelope.body")
    }
  }
}
