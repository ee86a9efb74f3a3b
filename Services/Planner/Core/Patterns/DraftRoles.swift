import ClusterModel
import Text

/// Roles of the drafting members, in rotation, and the range of their temperatures.
struct DraftRoles {
  var roles: [AgentRole]
  /// In thousandths.
  var temperatures: ClosedRange<Int>

  static let prose = DraftRoles(roles: [.research, .reasoning, .creative], temperatures: 300...900)
  /// Code is right or wrong, so the range is narrower.
  static let code = DraftRoles(
    roles: [.code, .reasoning, .research, .creative], temperatures: 100...600)
  /// A question with one right answer goes to the role `reasoning` several times.
  static let closed = DraftRoles(roles: [.reasoning], temperatures: 200...800)

  func temperature(of member: Int, among members: Int) -> Int {
    guard members > 1 else { return temperatures.lowerBound }
    let width = temperatures.upperBound - temperatures.lowerBound
    return temperatures.lowerBound + width * member / (members - 1)
  }
}
