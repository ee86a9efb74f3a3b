import ClusterModel

/// A choice that the price decided: of several idle hosts of the best bucket, a cheapest one.
public struct PriceChoice: Hashable, Sendable {
  /// Number of hosts between which the price decided.
  let hosts: Int
  /// Price of the chosen host. `nil` means that it is free.
  let price: HostPrice?
  /// The lowest price of the hosts that cost more. `nil` means that their prices are not stated.
  let next: HostPrice?

  init(hosts: Int, price: HostPrice?, next: HostPrice?) {
    self.hosts = hosts
    self.price = price
    self.next = next
  }

  /// Words for the trace: "cheapest of 3 equal hosts (0.15/0.6; others from 0.6/2.4)". Prices are
  /// credits per million tokens of the prompt and of the answer.
  public var text: String {
    let own = price.map(Self.text) ?? "free"
    let others = next.map { "others from \(Self.text($0))" } ?? "others state no price"
    return "cheapest of \(hosts) equal hosts (\(own); \(others))"
  }

  private static func text(_ price: HostPrice) -> String {
    "\(credits(price.input))/\(credits(price.output))"
  }

  private static func credits(_ millionths: Int64) -> String {
    let (whole, rest) = millionths.quotientAndRemainder(dividingBy: 1_000_000)
    guard rest > 0 else { return "\(whole)" }
    var digits = "\(1_000_000 + rest)".dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "\(whole).\(digits)"
  }
}
