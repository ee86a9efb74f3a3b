import ClusterModel
import NIOCore
import NIOPosix
import Wire

@testable import Bus

/// A tcp connection of a program that need not be one of ours.
struct RawConnection {
  /// What a nanomsg PUSH socket sends first.
  static let greeting = ListenerHandler.pushGreeting

  private let channel: any Channel

  init(port: Int) async throws {
    channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port).get()
  }

  /// The port of a process's bus.
  init(to bus: Bus) async throws { try await self.init(port: Self.port(of: bus)) }

  static func port(of bus: Bus) throws -> Int {
    guard case .host(_, let port)? = MailboxAddress(bus.peer.mailbox)?.target else {
      throw Failure(.internalError, "\(bus.peer.mailbox) is not tcp")
    }
    return port
  }

  /// The length that comes before a frame.
  static func length(_ count: Int) -> [UInt8] {
    stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: count >> $0) }
  }

  static func frame(_ bytes: [UInt8]) -> [UInt8] { length(bytes.count) + bytes }

  func send(_ bytes: [UInt8]) async throws {
    try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
  }

  /// Returns when the other side has closed.
  func closed() async throws { try await channel.closeFuture.get() }

  func close() async { try? await channel.close() }
}

extension Bus {
  /// Asks `other` until so many drops were counted there for the reason.
  func ask(_ other: Bus, until reason: String, reaches count: Int = 1) async throws {
    repeat {
      let answer = try await call(.ack, to: .peer(other.peer.id), deadline: .seconds(20))
      guard answer == .ack else { throw Failure(.internalError, "\(answer)") }
    } while other.dropped[reason, default: 0] < count
  }
}
