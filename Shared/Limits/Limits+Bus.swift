extension Limits {
  static let bus: [Limit] = []
}
