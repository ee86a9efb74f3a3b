import ClusterModel
import Foundation
import Limits
import NIOCore
import NIOSSL
import NIOTLS
import Synchronization

/// Paths of the certificate and key with which this process serves HTTPS.
struct TLSFiles: Hashable, Sendable {
  /// PEM file with the server's certificate, followed by the intermediate ones.
  var certificate: String
  /// PEM file, not encrypted.
  var key: String

  init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }

  /// Reads and checks both files.
  ///
  /// - Throws: `ProcessFailure` whose message continues a sentence after the setting's name.
  func load() throws(ProcessFailure) -> NIOSSLContext {
    let chain: [NIOSSLCertificate]
    do {
      chain = try NIOSSLCertificate.fromPEMBytes(bytes(of: certificate))
    } catch let error as ProcessFailure {
      throw error
    } catch {
      throw ProcessFailure(.usage, "\(certificate) holds no PEM certificate")
    }
    guard !chain.isEmpty else {
      throw ProcessFailure(.usage, "\(certificate) holds no PEM certificate")
    }
    let secret: NIOSSLPrivateKey
    do {
      secret = try NIOSSLPrivateKey(bytes: bytes(of: key), format: .pem)
    } catch let error as ProcessFailure {
      throw error
    } catch {
      throw ProcessFailure(.usage, "\(key) holds no PEM private key without a passphrase")
    }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(secret))
    configuration.minimumTLSVersion = .tlsv12
    configuration.applicationProtocols = ["http/1.1"]
    do {
      return try NIOSSLContext(configuration: configuration)
    } catch {
      throw ProcessFailure(
        .usage, "the key in \(key) does not belong to the certificate in \(certificate)")
    }
  }

  private func bytes(of path: String) throws(ProcessFailure) -> [UInt8] {
    let limit = Limits.tlsFileBytes.value
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw ProcessFailure(.usage, "\(path) cannot be read")
    }
    defer { try? file.close() }
    guard let data = try? file.read(upToCount: limit + 1) ?? Data(), data.count <= limit else {
      throw ProcessFailure(.usage, "\(path) is not a file of at most \(limit) bytes")
    }
    return [UInt8](data)
  }
}

/// The TLS context for new connections. It reloads changed files, so that a renewed certificate
/// needs no restart.
///
/// If a changed file is unusable, the previous certificate stays in use and the error is reported
/// once.
final class TLSIdentity: Sendable {
  private struct Stamp: Equatable {
    var modified: Date
    var size: Int
    var file: Int
  }

  private struct State {
    var context: NIOSSLContext
    var stamps: [Stamp?]
    var lastLook: NIODeadline
  }

  private let files: TLSFiles
  private let interval: TimeAmount
  private let onReload: @Sendable (ProcessFailure?) -> Void
  private let state: Mutex<State>

  /// - Parameters:
  ///   - interval: minimum time between two checks of the files.
  ///   - onReload: called after a change; the failure is `nil` if the new files are in use.
  init(
    _ files: TLSFiles, interval: TimeAmount = .seconds(1),
    onReload: @escaping @Sendable (ProcessFailure?) -> Void
  ) throws(ProcessFailure) {
    self.files = files
    self.interval = interval
    self.onReload = onReload
    let stamps = Self.stamps(files)
    let context = try files.load()
    state = Mutex(State(context: context, stamps: stamps, lastLook: .now()))
  }

  /// The context for a connection accepted at this time.
  func context(at now: NIODeadline) -> NIOSSLContext {
    let (context, outcome) = state.withLock {
      state -> (NIOSSLContext, Result<Void, ProcessFailure>?) in
      guard now - state.lastLook >= interval else { return (state.context, nil) }
      state.lastLook = now
      let stamps = Self.stamps(files)
      guard stamps != state.stamps else { return (state.context, nil) }
      state.stamps = stamps
      do throws(ProcessFailure) {
        state.context = try files.load()
        return (state.context, .success(()))
      } catch {
        return (state.context, .failure(error))
      }
    }
    switch outcome {
    case nil: break
    case .success: onReload(nil)
    case .failure(let failure): onReload(failure)
    }
    return context
  }

  private static func stamps(_ files: TLSFiles) -> [Stamp?] {
    [files.certificate, files.key].map { path in
      // Resolves links, because a mounted secret is replaced by moving a link.
      let target = URL(filePath: path).resolvingSymlinksInPath().path
      guard let attributes = try? FileManager.default.attributesOfItem(atPath: target),
        let modified = attributes[.modificationDate] as? Date,
        let size = (attributes[.size] as? NSNumber)?.intValue,
        let file = (attributes[.systemFileNumber] as? NSNumber)?.intValue
      else { return nil }
      return Stamp(modified: modified, size: size, file: file)
    }
  }
}

/// Closes a connection whose TLS handshake fails or takes too long.
final class TLSHandshakeGuard: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let deadline: TimeAmount
  private let failed: () -> Void
  private var timer: Scheduled<Void>?
  private var isDone = false

  init(deadline: TimeAmount, failed: @escaping () -> Void) {
    self.deadline = deadline
    self.failed = failed
  }

  func handlerAdded(context: ChannelHandlerContext) {
    timer = context.eventLoop.assumeIsolated().scheduleTask(in: deadline) { [self] in
      giveUp(context)
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    context.fireChannelInactive()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .handshakeCompleted = event as? TLSUserEvent {
      isDone = true
      timer?.cancel()
    }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard isDone else { return giveUp(context) }
    context.fireErrorCaught(error)
  }

  private func giveUp(_ context: ChannelHandlerContext) {
    guard !isDone else { return }
    isDone = true
    failed()
    context.close(promise: nil)
  }
}
