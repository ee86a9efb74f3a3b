import ClusterModel
import NIOCore
import NIOPosix

@testable import Bus

/// A tcp connection that bypasses the bus, for bytes of any kind.
struct RawConnection {
  /// The first bytes that a nanomsg PUSH socket sends.
  static let greeting = ListenerHandler.pushGreeting

  private let channel: any Channel

  init(port: Int) async throws {
    channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port).get()
  }

  /// Connects to the port of a process's bus.
  init(to bus: Bus) async throws { try await self.init(port: Self.port(of: bus)) }

  static func port(of bus: Bus) throws -> Int {
    guard case .host(_, let port)? = MailboxAddress(bus.peer.mailbox)?.target else {
      throw Failure(.internalError, "\(bus.peer.mailbox) is not tcp")
    }
    return port
  }

  /// The length field that precedes a frame.
  static func length(_ count: Int) -> [UInt8] {
    stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: count >> $0) }
  }

  static func frame(_ bytes: [UInt8]) -> [UInt8] { length(bytes.count) + bytes }

  func send(_ bytes: [UInt8]) async throws {
    try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
  }

  /// Waits until the other side has closed the connection.
  func closed() async throws { try await channel.closeFuture.get() }

  func close() async { try? await channel.close() }
}

extension Bus {
  /// Calls `other` until its drop counter for the reason reaches the count.
  func ask(_ other: Bus, until reason: String, reaches count: Int = 1) async throws {
    repeat {
      let answer = try await call(.ack, to: .peer(other.peer.id), deadline: .seconds(20))
      guard answer == .ack else { throw Failure(.internalError, "\(answer)") }
    } while other.dropped[reason, default: 0] < count
  }
}
