extension Limits {
  static let storage: [Limit] = []
}
