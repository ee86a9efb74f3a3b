import ClusterModel

/// A task's output in the forms in which other tasks read it.
///
/// Many readers request a form after every event. So each form is made only once and kept.
struct OutputForms: Equatable, Sendable {
  /// Form for tasks with a model, and for the planner if a reader expands. `nil` means that neither
  /// reads the output yet.
  private(set) var reading: String?
  /// Form for mechanical tasks. `nil` means that no such task reads the output yet.
  private(set) var prepared: String?

  /// Makes the forms that `reader` needs and that do not exist yet.
  /// - Parameter limit: maximum tokens of a form.
  mutating func make(of output: String, for reader: PlanTask, toTokens limit: Int) {
    if reader.merge.isMechanical, prepared == nil {
      prepared = MechanicalMerge.prepared(output, toTokens: limit)
    }
    // The planner reads the inputs of a task that expands.
    if !reader.merge.isMechanical || reader.expansion != nil, reading == nil {
      reading = MechanicalMerge.reading(output, toTokens: limit)
    }
  }

  var bytes: Int { (reading?.utf8.count ?? 0) + (prepared?.utf8.count ?? 0) }
}
