extension Limits {
  static let answers: [Limit] = []
}
