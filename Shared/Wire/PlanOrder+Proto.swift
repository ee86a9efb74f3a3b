import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  func runPlan(_ order: PlanOrder) -> UnsafeMutablePointer<Tutti__V1__RunPlan> {
    let message = unsafe make(tutti__v1__run_plan__init)
    unsafe message.pointee.plan = plan(order.plan)
    unsafe message.pointee.conversation = conversation(order.conversation)
    unsafe message.pointee.n_finished = order.finished.count
    let finished = order.finished.sorted { $0.key < $1.key }
    unsafe message.pointee.finished = array(finished) { unsafe taskOutput($0.key, $0.value) }
    let skipped = order.skipped.sorted { $0.key < $1.key }
    unsafe message.pointee.n_skipped = skipped.count
    unsafe message.pointee.skipped = array(skipped) { entry in
      let task = unsafe make(tutti__v1__skipped_task__init)
      unsafe task.pointee.task = text(entry.key.name)
      unsafe task.pointee.reason = text(entry.value.reason)
      unsafe task.pointee.usage = usage(entry.value.usage)
      return unsafe task
    }
    unsafe message.pointee.data_policy = text(order.dataPolicy.rawValue)
    unsafe message.pointee.terms = terms(order.terms)
    if let request = order.request { unsafe message.pointee.request = planRequest(request) }
    unsafe message.pointee.n_documents = order.documents.count
    unsafe message.pointee.documents = array(order.documents) { unsafe document($0) }
    unsafe message.pointee.client = text(order.client)
    unsafe message.pointee.sink_prefix = text(order.sinkPrefix)
    unsafe message.pointee.is_whole = order.isWhole ? 1 : 0
    unsafe message.pointee.dispatch = UInt32(clamping: order.dispatch)
    unsafe message.pointee.n_host_pools = order.pools.names.count
    unsafe message.pointee.host_pools = array(order.pools.sortedNames) { unsafe text($0) }
    unsafe message.pointee.n_models = order.models.names.count
    unsafe message.pointee.models = array(order.models.sortedNames) { unsafe text($0.name) }
    return unsafe message
  }
}

extension PlanOrder {
  init(wire message: Tutti__V1__RunPlan) throws(WireError) {
    let outputs = try unsafe elements(message.n_finished, message.finished) {
      output throws(WireError) in try unsafe taskOutput(output)
    }
    let skipped = try unsafe elements(message.n_skipped, message.skipped) {
      task throws(WireError) in
      (
        TaskID(try unsafe String(wire: task.task, "SkippedTask.task")),
        Skipped(
          reason: try unsafe String(wire: task.reason, "SkippedTask.reason"),
          usage: try unsafe required(task.usage, "SkippedTask.usage") { usage throws(WireError) in
            try unsafe Usage(wire: usage)
          })
      )
    }
    var request: PlanRequest?
    if let value = unsafe message.request { request = try unsafe PlanRequest(wire: value.pointee) }
    self.init(
      plan: try unsafe required(message.plan, "RunPlan.plan") { plan throws(WireError) in
        try unsafe Plan(wire: plan)
      },
      conversation: try unsafe required(message.conversation, "RunPlan.conversation") {
        conversation throws(WireError) in try unsafe Conversation(wire: conversation)
      },
      finished: Dictionary(outputs) { first, _ in first },
      skipped: Dictionary(skipped) { first, _ in first },
      dataPolicy: try unsafe DataPolicy(wire: message.data_policy, "RunPlan.data_policy"),
      pools: HostPools(
        try unsafe texts(message.n_host_pools, message.host_pools, "RunPlan.host_pools")),
      models: AllowedModels(
        try unsafe texts(message.n_models, message.models, "RunPlan.models").map { ModelID($0) }),
      terms: try unsafe InferenceTerms(wire: message.terms), request: request,
      documents: try unsafe elements(message.n_documents, message.documents) {
        document throws(WireError) in try unsafe Document(wire: document)
      },
      client: try unsafe String(wire: message.client, "RunPlan.client"),
      sinkPrefix: try unsafe String(wire: message.sink_prefix, "RunPlan.sink_prefix"),
      isWhole: unsafe message.is_whole != 0, dispatch: Int(unsafe message.dispatch))
  }
}
