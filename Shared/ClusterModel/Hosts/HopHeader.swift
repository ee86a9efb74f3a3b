/// Header that lists the gateways a request passed through, oldest first.
///
/// A gateway that finds itself in the list refuses the request. This breaks loops of gateways.
public enum HopHeader {
  public static let name = "x-tutti-hops"
  /// Maximum gateways in the list. A longer chain of gateways is refused, too, as a configuration
  /// error.
  public static let maximumHops = 16

  public static func value(_ hops: [String]) -> String { hops.joined(separator: ",") }

  public static func parse(_ value: String) -> [String] {
    value.split(separator: ",").map { $0.filter { $0 != " " && $0 != "\t" } }
      .filter { !$0.isEmpty }.map { String($0) }
  }
}
