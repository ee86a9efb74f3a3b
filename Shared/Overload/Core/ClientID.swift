/// The client that a request is charged to, identified by its network address.
public enum ClientID: Hashable, Sendable {
  /// Any program on this machine. All of them count as one client.
  case local
  case ipv4(UInt32)
  /// An IPv6 client, by the upper 64 bits of its address. A subscriber gets at least a /64 network
  /// and can use any address in it.
  case ipv6(UInt64)

  /// - Parameter octets: 4 or 16 bytes in network order. Any other count means `local`, for example
  ///   the address of a local socket.
  public init(octets: some Collection<UInt8>) {
    switch octets.count {
    case 4:
      let value = octets.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      self = value >> 24 == 127 ? .local : .ipv4(value)
    case 16:
      let high = octets.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let low = octets.dropFirst(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      if high == 0, low == 1 {
        self = .local
      } else if high == 0, low >> 32 == 0xFFFF {
        // A dual-stack socket reports an IPv4 address in this form.
        self.init(octets: octets.dropFirst(12))
      } else {
        self = .ipv6(high)
      }
    default: self = .local
    }
  }

  /// Number that identifies the client when clients take turns.
  public var turn: UInt64 {
    switch self {
    case .local: 0
    case .ipv4(let value): 1 << 32 | UInt64(value)
    case .ipv6(let high): high
    }
  }

  /// - Parameter address: an IPv4 or IPv6 address in text form, as a socket reports it.
  public init(address: String) {
    let text = address.prefix { $0 != "%" }
    self.init(octets: text.contains(":") ? Self.ipv6Octets(text) : Self.ipv4Octets(text))
  }

  private static func ipv4Octets(_ text: Substring) -> [UInt8] {
    text.split(separator: ".").compactMap { UInt8($0) }
  }

  private static func ipv6Octets(_ text: Substring) -> [UInt8] {
    func octets(_ groups: [Substring]) -> [UInt8] {
      groups.flatMap { group -> [UInt8] in
        if group.contains(".") { return ipv4Octets(group) }
        guard let value = UInt16(group, radix: 16) else { return [] }
        return [UInt8(value >> 8), UInt8(value & 0xFF)]
      }
    }
    let groups = text.split(separator: ":", omittingEmptySubsequences: false)
    // "::" stands for all missing zero groups.
    let gap = groups.dropFirst().firstIndex { $0.isEmpty } ?? groups.endIndex
    let head = octets(groups[..<gap].filter { !$0.isEmpty })
    let tail = octets(groups[gap...].filter { !$0.isEmpty })
    let zeros = max(0, 16 - head.count - tail.count)
    return head + [UInt8](repeating: 0, count: zeros) + tail
  }
}
