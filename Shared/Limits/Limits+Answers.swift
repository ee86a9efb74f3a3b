extension Limits {
  static let answers: [Limit] = reading + resuming
}
