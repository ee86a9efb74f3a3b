public import ClusterModel
public import Money

extension [SettledAnswer] {
  /// The answers with the hosts' own prices.
  ///
  /// - Parameter table: hosts at the request's admission. A host that is not in it gets no price.
  public func withHostPrices(of table: HostTable) -> [SettledAnswer] {
    var answers = self
    for answer in answers.indices {
      for attempt in answers[answer].attempts.indices {
        let id = answers[answer].attempts[attempt].host
        guard let host = table.host(id) else { continue }
        // Without a stated price, the host earns nothing, also if an admin states one meanwhile.
        answers[answer].attempts[attempt].hostPrice =
          host.price.map { TokenPrice($0) } ?? TokenPrice.free
      }
    }
    return answers
  }
}
