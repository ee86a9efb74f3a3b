import ClusterModel

extension Failure {
  /// The error for a budget that does not even cover short answers.
  /// - Parameter shape: the part of the plan that does not fit, in the plural, such as "3 members".
  static func budgetTooSmall(_ budget: Int, shape: String, needs: Int) -> Failure {
    Failure(
      .invalidRequest,
      "a budget of \(counted(budget, "token")) is too small: \(shape) need at least \(needs) for "
        + "this query. Raise the budget or shorten the request.", param: TokenPlan.option)
  }
}
