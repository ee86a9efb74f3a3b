extension Limits {
  static let hosts: [Limit] = []
}
