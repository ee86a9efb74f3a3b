extension Limits {
  static let plans: [Limit] = []
}
