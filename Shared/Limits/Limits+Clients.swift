extension Limits {
  static let clients: [Limit] = []
}
