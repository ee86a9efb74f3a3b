public import ClusterModel
import HostModel

/// Requirements of a task on its host, and the expected length of its output.
public struct HostWork: Equatable, Sendable {
  /// Models that may do the task, the preferred one first. An empty list means any chat model.
  public var models: [ModelID]
  var dataPolicy: DataPolicy
  /// Host pools of the client's key.
  var pools: HostPools
  /// Models that may do the task if `models` is empty.
  var allowed: AllowedModels
  /// Work of one kind has outputs of similar length, so the mean length of ended work is expected
  /// for new work.
  public var kind: String
  /// Expected completion tokens until other work of this kind has ended.
  public var tokens: Int

  public init(
    models: [ModelID] = [], dataPolicy: DataPolicy = .any, pools: HostPools = .all,
    allowed: AllowedModels = .all, kind: String = "", tokens: Int
  ) {
    self.models = models
    self.dataPolicy = dataPolicy
    self.pools = pools
    self.allowed = allowed
    self.kind = kind
    self.tokens = tokens
  }

  public init(_ start: TaskStart, expectedTokens: Int) {
    let task = start.order.task
    self.init(
      models: task.model.map { [$0] + task.alternatives } ?? [],
      dataPolicy: start.order.dataPolicy, pools: start.order.pools, allowed: start.order.models,
      kind: "\(start.order.plan)/\(start.role.rawValue)",
      tokens: min(task.maxTokens ?? expectedTokens, expectedTokens))
  }

  /// The properties that decide which hosts may do the work.
  struct Wish: Hashable {
    var models: [ModelID]
    var dataPolicy: DataPolicy
    var pools: HostPools
    var allowed: AllowedModels
  }

  var wish: Wish {
    Wish(models: models, dataPolicy: dataPolicy, pools: pools, allowed: allowed)
  }

  func mayBeDone(at host: SchedulableHost) -> Bool {
    host.mayServe(models, dataPolicy, pools, allowed)
  }
}

/// Where a task is done. `infer()` asks another host if this one cannot answer.
public struct TaskPlacement: Hashable, Sendable {
  /// `nil` means that the agent chooses the host. Either no schedulable host can do the task, or
  /// the agent chooses the model, too, and the hosts differ in models.
  public var host: HostID?
  /// The model of `host` that does the task. `nil` means that the agent chooses.
  public var model: ModelID?

  public static let open = TaskPlacement(host: nil, model: nil)

  public init(host: HostID?, model: ModelID? = nil) {
    self.host = host
    self.model = model
  }
}

extension TaskOrder {
  /// Returns the order with the host and model of the placement. The task's other models remain
  /// alternatives.
  public func placed(_ placement: TaskPlacement) -> TaskOrder {
    var order = self
    order.host = placement.host
    order.avoidHosts.removeAll { $0 == placement.host }
    if let model = placement.model, let first = task.model, model != first {
      order.task.model = model
      order.task.alternatives = [first] + task.alternatives.filter { $0 != model }
    }
    return order
  }
}
