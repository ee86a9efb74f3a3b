public import ClusterModel
import Text

extension PlanRun {
  /// Bytes of an answer in a trace, enough to distinguish answers.
  private static let answerBytes = 60

  /// Facts about a vote for its span: the voters of each answer, and the dissenters.
  public func mergeFacts(of id: TaskID) -> [(key: String, value: String)] {
    guard let index = board.index(of: id), board.task(index).merge == .vote else { return [] }
    let given = board.task(index).inputs.compactMap { edge in
      board.preparedOutput(of: edge).map { (edge: edge, text: $0) }
    }
    let ballot = Ballot(given.map(\.text))
    guard let winner = ballot.counts.first else { return [] }
    let votes = ballot.counts.map { count in
      let voters = given.indices.filter { ballot.answers[$0] == count.answer }
      let names = voters.map { given[$0].edge.name }.joined(separator: ", ")
      return "\(count.answer.cut(toBytes: Self.answerBytes)): \(names)"
    }
    var facts = [(key: "votes", value: votes.joined(separator: "; "))]
    let dissent = given.indices.filter {
      !ballot.answers[$0].isEmpty && ballot.answers[$0] != winner.answer
    }
    if !dissent.isEmpty {
      let names = dissent.map { "\(given[$0].edge.name) (\(given[$0].edge.from))" }
      facts.append((key: "dissent", value: names.joined(separator: ", ")))
    }
    return facts
  }
}
