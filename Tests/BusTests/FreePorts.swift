import ClusterModel
import Foundation
import Synchronization

/// Free ports for `tcp://`. Port 0 is not possible, because a mailbox's address must be known
/// before binding.
enum FreePorts {
  /// Ports below the system's range for outgoing connections. Each process starts at a random port,
  /// so that two test runs on one machine do not collide.
  private static let range = 20_000..<32_000
  private static let next = Mutex(Int.random(in: range))

  /// Returns a port that can be bound now. The next higher port can be bound, too. Each search
  /// begins after the last port, so that a port is not returned again soon.
  static func take() throws -> Int {
    for _ in 0..<1_000 {
      let port = next.withLock { next in
        next = next + 2 < range.upperBound ? next + 2 : range.lowerBound
        return next
      }
      if isFree(port), isFree(port + 1) { return port }
    }
    throw Failure(.internalError, "no free ports in \(range)")
  }

  private static func isFree(_ port: Int) -> Bool {
    #if canImport(Darwin)
      let descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #else
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #endif
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, size) == 0
      }
    }
  }
}
