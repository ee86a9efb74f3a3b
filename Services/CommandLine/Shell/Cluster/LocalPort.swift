import ClusterModel
import CommandLineCore
import Foundation

/// TCP ports of 127.0.0.1.
enum LocalPort {
  /// - Returns: `nil` if the port is taken, or if no socket can be opened.
  private static func bind(_ port: Int) -> (descriptor: Int32, port: Int)? {
    #if os(Linux)
      let stream = Int32(SOCK_STREAM.rawValue)
    #else
      let stream = SOCK_STREAM
    #endif
    let descriptor = socket(AF_INET, stream, 0)
    guard descriptor >= 0 else { return nil }
    // The servers set this option, too. Without it, a lingering connection would make the port
    // unusable.
    var yes: Int32 = 1
    unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(clamping: port)).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        unsafe Foundation.bind(descriptor, generic, length) == 0
          && listen(descriptor, 1) == 0
          && getsockname(descriptor, generic, &length) == 0
      }
    }
    guard bound else {
      close(descriptor)
      return nil
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }

  static func isFree(_ port: Int) -> Bool {
    guard let socket = bind(port) else { return false }
    close(socket.descriptor)
    return true
  }

  /// Returns different ports that were free a moment ago.
  static func free(_ count: Int) throws(ProcessFailure) -> [Int] {
    var open: [(descriptor: Int32, port: Int)] = []
    defer { for socket in open { close(socket.descriptor) } }
    while open.count < count {
      guard let socket = bind(0) else {
        throw ProcessFailure(.unavailable, "no free port on 127.0.0.1 is left for a model server")
      }
      open.append(socket)
    }
    return open.map(\.port)
  }
}
