import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  func planRequest(_ request: PlanRequest) -> UnsafeMutablePointer<Tutti__V1__PlanRequest> {
    let message = unsafe make(tutti__v1__plan_request__init)
    unsafe message.pointee.pattern = text(request.pattern)
    unsafe message.pointee.query = text(request.query)
    unsafe message.pointee.n_models = request.models.count
    unsafe message.pointee.models = array(request.models) { unsafe text($0.name) }
    unsafe message.pointee.members = UInt32(wire: request.members)
    unsafe message.pointee.rounds = UInt32(wire: request.rounds)
    unsafe message.pointee.quorum = UInt32(wire: request.quorum)
    unsafe message.pointee.seed = request.seed
    unsafe message.pointee.max_tokens = UInt32(wire: request.maxTokens)
    unsafe message.pointee.n_available = request.available.count
    unsafe message.pointee.available = array(request.available) { unsafe text($0.name) }
    unsafe message.pointee.budget_tokens = UInt64(clamping: request.budgetTokens ?? 0)
    unsafe message.pointee.data_policy = text(request.dataPolicy.rawValue)
    unsafe message.pointee.n_hosts = request.hosts.count
    unsafe message.pointee.hosts = array(request.hosts) { unsafe facts($0) }
    unsafe message.pointee.n_documents = request.documents.count
    unsafe message.pointee.documents = array(request.documents) { unsafe facts($0) }
    unsafe message.pointee.conversation_tokens = UInt64(clamping: request.conversationTokens)
    unsafe message.pointee.is_structured = request.isStructured ? 1 : 0
    unsafe message.pointee.direct_percent = UInt32(clamping: request.correction.directPercent)
    unsafe message.pointee.split_percent = UInt32(clamping: request.correction.splitPercent)
    unsafe message.pointee.has_tools = request.hasTools ? 1 : 0
    unsafe message.pointee.has_embedder = request.hasEmbedder ? 1 : 0
    unsafe message.pointee.temperature_milli = plusOne(request.temperatureMilli)
    unsafe message.pointee.n_skills = request.skills.count
    unsafe message.pointee.skills = array(request.skills) { unsafe modelSkill($0) }
    unsafe message.pointee.n_gains = request.gains.count
    unsafe message.pointee.gains = array(request.gains) { unsafe patternGain($0) }
    return unsafe message
  }

  private func facts(_ host: HostFacts) -> UnsafeMutablePointer<Tutti__V1__HostFacts> {
    let message = unsafe make(tutti__v1__host_facts__init)
    unsafe message.pointee.id = text(host.id.name)
    unsafe message.pointee.n_models = host.models.count
    unsafe message.pointee.models = array(host.models) { unsafe text($0.name) }
    unsafe message.pointee.free_slots = UInt32(clamping: host.freeSlots)
    unsafe message.pointee.rate_milli = UInt32(clamping: host.rateMilli)
    unsafe message.pointee.first_token_ms = UInt32(clamping: host.firstTokenMilliseconds)
    unsafe message.pointee.slowdown_percent =
      host.slowdownPercent.map { UInt32(clamping: max(0, $0)) + 1 } ?? 0
    if !host.contextTokens.isEmpty {
      unsafe message.pointee.n_context_tokens = host.models.count
      unsafe message.pointee.context_tokens = array(host.models) {
        UInt32(wire: host.contextTokens[$0])
      }
    }
    return unsafe message
  }

  private func facts(_ document: DocumentFacts) -> UnsafeMutablePointer<Tutti__V1__DocumentFacts> {
    let message = unsafe make(tutti__v1__document_facts__init)
    unsafe message.pointee.name = text(document.name)
    unsafe message.pointee.size_bytes = UInt64(clamping: document.bytes)
    return unsafe message
  }
}

extension PlanRequest {
  init(wire message: Tutti__V1__PlanRequest) throws(WireError) {
    let budget = Int(clamping: unsafe message.budget_tokens)
    let temperature = Int(unsafe message.temperature_milli)
    self.init(
      pattern: try unsafe String(wire: message.pattern, "PlanRequest.pattern"),
      query: try unsafe String(wire: message.query, "PlanRequest.query"),
      models: try unsafe texts(message.n_models, message.models, "PlanRequest.models")
        .map { ModelID($0) },
      members: Int?(wire: unsafe message.members), rounds: Int?(wire: unsafe message.rounds),
      quorum: Int?(wire: unsafe message.quorum), seed: unsafe message.seed,
      maxTokens: Int?(wire: unsafe message.max_tokens),
      available: try unsafe texts(message.n_available, message.available, "PlanRequest.available")
        .map { ModelID($0) },
      budgetTokens: budget == 0 ? nil : budget,
      dataPolicy: try unsafe DataPolicy(wire: message.data_policy, "PlanRequest.data_policy"),
      hosts: try unsafe elements(message.n_hosts, message.hosts) { host throws(WireError) in
        try unsafe HostFacts(wire: host)
      },
      documents: try unsafe elements(message.n_documents, message.documents) {
        document throws(WireError) in try unsafe DocumentFacts(wire: document)
      },
      conversationTokens: Int(clamping: unsafe message.conversation_tokens),
      isStructured: unsafe message.is_structured != 0,
      correction: EstimateCorrection(
        directPercent: Int?(wire: unsafe message.direct_percent) ?? 100,
        splitPercent: Int?(wire: unsafe message.split_percent) ?? 100),
      hasTools: unsafe message.has_tools != 0, hasEmbedder: unsafe message.has_embedder != 0,
      temperatureMilli: temperature == 0 ? nil : temperature - 1,
      skills: try unsafe elements(message.n_skills, message.skills) { skill throws(WireError) in
        try unsafe ModelSkill(wire: skill)
      },
      gains: try unsafe elements(message.n_gains, message.gains) { gain throws(WireError) in
        try unsafe PatternGain(wire: gain)
      })
  }
}

extension HostFacts {
  init(wire message: Tutti__V1__HostFacts) throws(WireError) {
    let slowdown = Int(unsafe message.slowdown_percent)
    let models = try unsafe texts(message.n_models, message.models, "HostFacts.models")
      .map { ModelID($0) }
    let contexts = unsafe Array(
      UnsafeBufferPointer(start: message.context_tokens, count: message.n_context_tokens))
    var contextTokens: [ModelID: Int] = [:]
    for (model, tokens) in zip(models, contexts) {
      contextTokens[model] = Int?(wire: tokens)
    }
    self.init(
      id: HostID(try unsafe String(wire: message.id, "HostFacts.id")), models: models,
      freeSlots: Int(unsafe message.free_slots), rateMilli: Int(unsafe message.rate_milli),
      firstTokenMilliseconds: Int(unsafe message.first_token_ms),
      slowdownPercent: slowdown == 0 ? nil : slowdown - 1, contextTokens: contextTokens)
  }
}

extension DocumentFacts {
  init(wire message: Tutti__V1__DocumentFacts) throws(WireError) {
    self.init(
      name: try unsafe String(wire: message.name, "DocumentFacts.name"),
      bytes: Int(clamping: unsafe message.size_bytes))
  }
}
