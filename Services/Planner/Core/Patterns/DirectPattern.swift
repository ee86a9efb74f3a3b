import ClusterModel
import Limits
import Text

/// Plans exactly one call: one model answers the whole conversation.
///
/// - Parameters:
///   - reason: why the query is answered directly, for the trace.
///   - estimate: the split that it was compared with. `nil` means no comparison.
func directPlan(
  _ basis: PlanBasis, id: PlanID, reason: String, estimate: SplitEstimate? = nil
) throws(Failure) -> Plan {
  let answer = try directTask(basis, id: "answer", number: 0)
  return Plan(
    id: id, pattern: basis.request.pattern, tasks: [answer], sink: answer.id,
    seed: basis.request.seed, deadline: PlanLimits.deadline, reason: "direct: \(reason)",
    estimate: estimate?.plain(.direct))
}

func directTask(_ basis: PlanBasis, id: TaskID, number: Int) throws(Failure) -> PlanTask {
  let request = basis.request
  var limit: Int?
  if let total = request.budgetTokens {
    let prompt = PromptTokens(1, readsDocuments: true).tokens(basis)
    let left = total - prompt
    guard left >= TokenEstimate.leastTokens else {
      throw Failure.budgetTooSmall(
        total, shape: "a prompt and an answer", needs: prompt + TokenEstimate.leastTokens)
    }
    limit = min(left, request.maxTokens ?? PlanLimits.answerTokens)
  }
  return PlanTask(
    id: id, role: basis.directRole, model: basis.documentModel ?? basis.namedModel(0),
    maxTokens: limit, profile: basis.profile, seed: basis.seed(number),
    documents: request.documents.isEmpty ? [] : [PlanTask.everyDocument])
}

extension PlanBasis {
  /// Model for a task that reads all documents, if the contexts of some models are too short for
  /// them.
  /// `nil` means that the client or the agent chooses.
  var documentModel: ModelID? {
    let bytes = request.documents.reduce(0) { $0.addingCapped(max(0, $1.bytes)) }
    guard bytes / TokenEstimate.bytesPerToken > leastDocumentRoom else { return nil }
    return longContextModels.first
  }

  /// Role that answers alone. Documents go to research, which cites them.
  var directRole: AgentRole {
    if !request.documents.isEmpty { return .research }
    return switch profile {
    case .code: .code
    case .creative: .creative
    case .reasoning: .reasoning
    case .factual, .extraction: .research
    case nil: .coordinator
    }
  }
}
