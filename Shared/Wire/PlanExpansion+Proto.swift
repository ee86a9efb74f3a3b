import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  func namedInput(
    _ input: TaskOrder.NamedInput
  ) -> UnsafeMutablePointer<Tutti__V1__NamedInput> {
    let message = unsafe make(tutti__v1__named_input__init)
    unsafe message.pointee.name = text(input.name)
    unsafe message.pointee.text = text(input.text)
    unsafe message.pointee.weight_milli = Int32(clamping: input.weightMilli ?? -1)
    return unsafe message
  }

  func expandRequest(
    _ request: ExpandRequest
  ) -> UnsafeMutablePointer<Tutti__V1__ExpandRequest> {
    let message = unsafe make(tutti__v1__expand_request__init)
    unsafe message.pointee.plan = plan(request.plan)
    unsafe message.pointee.task = text(request.task.name)
    unsafe message.pointee.output = text(request.output)
    unsafe message.pointee.n_inputs = request.inputs.count
    unsafe message.pointee.inputs = array(request.inputs) { unsafe namedInput($0) }
    unsafe message.pointee.request = planRequest(request.request)
    return unsafe message
  }

  func subPlan(_ sub: SubPlan) -> UnsafeMutablePointer<Tutti__V1__SubPlan> {
    let message = unsafe make(tutti__v1__sub_plan__init)
    unsafe message.pointee.n_tasks = sub.tasks.count
    unsafe message.pointee.tasks = array(sub.tasks) { unsafe planTask($0) }
    unsafe message.pointee.output = text(sub.output.name)
    return unsafe message
  }
}

extension TaskOrder.NamedInput {
  init(wire message: Tutti__V1__NamedInput) throws(WireError) {
    let weight = Int(unsafe message.weight_milli)
    self.init(
      name: try unsafe String(wire: message.name, "NamedInput.name"),
      text: try unsafe String(wire: message.text, "NamedInput.text"),
      weightMilli: weight < 0 ? nil : weight)
  }
}

extension ExpandRequest {
  init(wire message: Tutti__V1__ExpandRequest) throws(WireError) {
    self.init(
      plan: try unsafe required(message.plan, "ExpandRequest.plan") { plan throws(WireError) in
        try unsafe Plan(wire: plan)
      },
      task: TaskID(try unsafe String(wire: message.task, "ExpandRequest.task")),
      output: try unsafe String(wire: message.output, "ExpandRequest.output"),
      inputs: try unsafe elements(message.n_inputs, message.inputs) { input throws(WireError) in
        try unsafe TaskOrder.NamedInput(wire: input)
      },
      request: try unsafe required(message.request, "ExpandRequest.request") {
        request throws(WireError) in try unsafe PlanRequest(wire: request)
      })
  }
}

extension SubPlan {
  init(wire message: Tutti__V1__SubPlan) throws(WireError) {
    self.init(
      tasks: try unsafe elements(message.n_tasks, message.tasks) { task throws(WireError) in
        try unsafe PlanTask(wire: task)
      },
      output: TaskID(try unsafe String(wire: message.output, "SubPlan.output")))
  }
}
