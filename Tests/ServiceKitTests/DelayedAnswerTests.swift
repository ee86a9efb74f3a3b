import NIOCore
import NIOEmbedded
import OverloadCore
import Testing

@testable import ServiceKit

@Suite("Connections whose answers are delayed")
struct DelayedAnswerTests {
  private let request = "GET /x HTTP/1.1\r\nhost: x\r\n\r\n"
  private let registry = ConnectionRegistry(
    ConnectionLimits(total: 2, perClient: 2, perLocalClient: 2, reserved: 2))

  /// Two connections of one client, which fill the server and wait for their answers.
  private func crowd() throws -> [GuardedTestConnection] {
    try (0..<2).map { _ in
      let connection = try GuardedTestConnection(registry: registry, client: .ipv4(1))
      connection.receive(request)
      return connection
    }
  }

  private func delay(_ connection: GuardedTestConnection, begins: Bool) {
    connection.channel.triggerUserOutboundEvent(AnswerDelay(begins: begins), promise: nil)
  }

  @Test("a delayed answer makes room for a client with fewer connections")
  func makesRoom() throws {
    let crowd = try crowd()
    delay(crowd[1], begins: true)
    let other = try GuardedTestConnection(registry: registry, client: .ipv4(2))
    #expect(crowd.map(\.channel.isActive) == [true, false])
    #expect(crowd.map { $0.clientGone > 0 } == [false, true])
    other.receive(request)
    #expect(!other.parts.isEmpty)
  }

  @Test("pipelined requests do not keep the connection of a delayed answer")
  func pipelined() throws {
    let crowd = try crowd()
    crowd[0].receive(request + "GET /x")
    delay(crowd[0], begins: true)
    _ = try GuardedTestConnection(registry: registry, client: .ipv4(2))
    #expect(crowd.map(\.channel.isActive) == [false, true])
  }

  @Test("after its delay, an answer keeps its connection")
  func delayEnds() throws {
    let crowd = try crowd()
    for connection in crowd {
      delay(connection, begins: true)
      delay(connection, begins: false)
    }
    _ = try GuardedTestConnection(registry: registry, client: .ipv4(2))
    #expect(crowd.map(\.channel.isActive) == [true, true])
  }
}
