extension Limits {
  static let memory: [Limit] = []
}
