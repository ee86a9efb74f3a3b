import NIOCore
import NIOPosix
import Overload
import OverloadCore
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The connections of one server on one event loop.
struct ConnectionLoop: Sendable {
  /// Runs the handlers of the loop's connections. `nil` means the default executor.
  let executor: LoopExecutor?
  /// Takes the connections for `answer(in:)`.
  let arrival: AsyncStream<GuardedConnection>.Continuation

  private let loop: any EventLoop
  private let arrivals: AsyncStream<GuardedConnection>

  init(_ loop: any EventLoop, answersOnEventLoop: Bool) {
    self.loop = loop
    executor = answersOnEventLoop ? LoopExecutor(loop) : nil
    (arrivals, arrival) = AsyncStream.makeStream()
  }

  /// Makes a channel for an accepted connection. Clients take turns, and existing connections are
  /// served between two new ones, so many new connections do not block the existing ones.
  func begin(_ accepted: Listener.Accepted, of listener: Listener, in channel: HTTPChannel) {
    loop.execute {
      LoopTurns.connections(of: loop).submit(for: accepted.client.turn) {
        // A client that left while its connection waited costs nothing more. A server that stops
        // serves no further connection.
        if listener.isStopping || Listener.hasLeft(accepted.descriptor) {
          close(accepted.descriptor)
          listener.connectionClosed()
        } else {
          makeChannel(accepted, listener, channel)
        }
      }
    }
  }

  private func makeChannel(
    _ accepted: Listener.Accepted, _ listener: Listener, _ channel: HTTPChannel
  ) {
    let state = NIOLoopBoundBox(
      (hasChannel: false, prepared: GuardedConnection?.none), eventLoop: loop)
    ClientBootstrap(group: loop)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelInitializer { socket in
        state.value.hasChannel = true
        socket.closeFuture.whenComplete { _ in listener.connectionClosed() }
        return channel.prepare(socket, of: accepted.client).map { state.value.prepared = $0 }
      }
      .withConnectedSocket(accepted.descriptor)
      .whenComplete { made in
        // If no channel was made, NIO has closed the socket.
        if !state.value.hasChannel { listener.connectionClosed() }
        guard let connection = state.value.prepared, let socket = try? made.get() else { return }
        // A server that has stopped meanwhile serves no connection.
        guard case .terminated = arrival.yield(connection) else { return }
        // NIO requires that the connection exists until its channel has removed its handlers.
        socket.closeFuture.whenComplete { _ in withExtendedLifetime(connection) {} }
        socket.close(promise: nil)
      }
  }

  /// Answers all requests. Returns after the last connection has closed and `arrival` has finished.
  @concurrent
  func answer(in channel: HTTPChannel) async {
    await withDiscardingTaskGroup { group in
      for await connection in arrivals {
        group.addTask(executorPreference: executor) {
          await channel.answer(connection, on: executor)
        }
      }
    }
  }
}
