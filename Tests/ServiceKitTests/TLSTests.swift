import ClusterModel
import Foundation
import Hummingbird
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
import Testing

@testable import ServiceKit

@Suite("TLS", .timeLimit(.minutes(5)))
struct TLSTests {
  @Test("an HTTP port with a certificate answers over TLS 1.2 and above, and to nothing else")
  func serves() async throws {
    let files = try PEMFiles()
    let identity = try TLSIdentity(files.tls) { _ in }
    try await withTLSServer(identity) { port in
      let answer = try await TLSClient.get(port)
      #expect(answer.text.hasPrefix("HTTP/1.1 200 "), "\(answer)")
      let old = try? await TLSClient.get(port, newest: .tlsv11)
      #expect(old?.text.hasPrefix("HTTP/1.1") != true)
      let plain = try await PlainClient.exchange(port, "GET /ok HTTP/1.1\r\nhost: t\r\n\r\n")
      #expect(!plain.contains("200"))
    }
  }

  @Test("a renewed certificate is used for new connections without a restart")
  func renews() async throws {
    let files = try PEMFiles()
    let reloads = Mutex<[String?]>([])
    let identity = try TLSIdentity(files.tls, interval: .zero) { failure in
      reloads.withLock { $0.append(failure?.message) }
    }
    try await withTLSServer(identity) { port in
      #expect(try await TLSClient.get(port).subject == "tutti-test-1")
      try files.write(PEM.certificate2, PEM.key2)
      #expect(try await TLSClient.get(port).subject == "tutti-test-2")
      #expect(reloads.withLock { $0 } == [nil])
    }
  }

  @Test("if a changed file is no certificate, the previous one stays in use, reported once")
  func keeps() async throws {
    let files = try PEMFiles()
    let reloads = Mutex<[String?]>([])
    let identity = try TLSIdentity(files.tls, interval: .zero) { failure in
      reloads.withLock { $0.append(failure?.message) }
    }
    try await withTLSServer(identity) { port in
      try files.write("nonsense", PEM.key1)
      #expect(try await TLSClient.get(port).subject == "tutti-test-1")
      #expect(try await TLSClient.get(port).subject == "tutti-test-1")
      let said = reloads.withLock { $0 }
      #expect(said.count == 1)
      #expect(said.first??.contains("holds no PEM certificate") == true)
    }
  }

  @Test("a key that belongs to another certificate is refused before a port is opened")
  func mismatch() throws {
    let files = try PEMFiles()
    try files.write(PEM.certificate1, PEM.key2)
    let failure = #expect(throws: ProcessFailure.self) { _ = try files.tls.load() }
    #expect(failure?.message.contains("does not belong to the certificate") == true)
  }

  @Test(
    "a port that other machines reach needs TLS and keys, or the operator's word",
    arguments: [
      ("127.0.0.1", false, false, true), ("127.8.0.1", false, false, true),
      ("localhost", false, false, true), ("::1", false, false, true),
      ("0.0.0.0", false, false, false), ("0.0.0.0", true, false, false),
      ("0.0.0.0", false, true, false), ("0.0.0.0", true, true, true),
      ("::", false, false, false), ("127.evil.example.com", false, false, false),
      ("127.0.0.1.example.com", false, false, false), ("10.0.0.7", true, false, false),
    ])
  func listening(host: String, hasTLS: Bool, asksForKeys: Bool, isSafe: Bool) {
    let danger = ListenSafety.danger(
      of: HostAndPort(host: host, port: 8080), hasTLS: hasTLS, asksForKeys: asksForKeys)
    #expect((danger == nil) == isSafe)
  }
}

/// A server's certificate and key files, in a folder that is deleted with this value.
private final class PEMFiles: Sendable {
  let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
  var tls: TLSFiles {
    TLSFiles(
      certificate: folder.appending(path: "certificate.pem").path,
      key: folder.appending(path: "key.pem").path)
  }

  init() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try write(PEM.certificate1, PEM.key1)
  }

  /// Replaces both files as an administrator does, by moving new files into place.
  func write(_ certificate: String, _ key: String) throws {
    try certificate.write(toFile: tls.certificate, atomically: true, encoding: .utf8)
    try key.write(toFile: tls.key, atomically: true, encoding: .utf8)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }
}

private func withTLSServer(
  _ identity: TLSIdentity, _ body: @escaping @Sendable (Int) async throws -> Void
) async throws {
  try await withServer(
    routes: { router in router.get("/ok") { _, _ in "fine" } }, change: { $0.tls = identity }, body)
}

private enum PlainClient {
  static func exchange(_ port: Int, _ text: String) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await read(channel, text)
  }

  static func read(
    _ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>, _ text: String
  ) async throws -> String {
    try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(ByteBuffer(string: text))
      var answer = ""
      for try await bytes in inbound { answer += String(buffer: bytes) }
      return answer
    }
  }
}

private enum TLSClient {
  /// Returns the response to `GET /ok` and the common name of the server's certificate.
  static func get(
    _ port: Int, newest: TLSVersion? = nil
  ) async throws -> (text: String, subject: String) {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.maximumTLSVersion = newest
    let context = try NIOSSLContext(configuration: configuration)
    let subject = Mutex("")
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          let handler = try NIOSSLClientHandler(
            context: context, serverHostname: "localhost",
            customVerificationCallback: { chain, promise in
              subject.withLock { $0 = chain.first?.commonName ?? "" }
              promise.succeed(.certificateVerified)
            })
          try channel.pipeline.syncOperations.addHandler(handler)
          return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    let text = try await PlainClient.read(
      channel, "GET /ok HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
    return (text, subject.withLock { $0 })
  }
}

extension NIOSSLCertificate {
  fileprivate var commonName: String? {
    let text = String(describing: self)
    return text.firstMatch(of: #/tutti-test-[0-9]/#).map { String($0.output) }
  }
}

/// Two test certificates made with `openssl req -x509`; they expire in 2126 and protect nothing.
private enum PEM {
  static let certificate1 = """
    -----BEGIN CERTIFICATE-----
    MIIBoDCCAUegAwIBAgIUdgxNXxVJVbxlSjzLxdmGzi0OsOowCgYIKoZIzj0EAwIw
    FzEVMBMGA1UEAwwMdHV0dGktdGVzdC0xMCAXDTI2MTEyOTA1MTM0OVoYDzIxMjYx
    MTA1MDUxMzQ5WjAXMRUwEwYDVQQDDAx0dXR0aS10ZXN0LTEwWTATBgcqhkjOPQIB
    BggqhkjOPQMBBwNCAASNGUamDk3L4E5bdE18E4RKxiH6NOJPwZcgBTqF22o/+rZr
    0yTxy9KI3G/wQzzckapjvcYJGJS6xGW2YobI3gj+o28wbTAdBgNVHQ4EFgQUVRLA
    LLzgpYF6nSebBQ1M85zoZxkwHwYDVR0jBBgwFoAUVRLALLzgpYF6nSebBQ1M85zo
    ZxkwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEw
    CgYIKoZIzj0EAwIDRwAwRAIgc0U8gNFNHOEjzxDZAOMHvB3VHuhFSBMfAmVeowvc
    fWwCICFlJmvn51dpcq89L0Chlm7FOV8XSFK9ZD7YYAP1g9Xh
    -----END CERTIFICATE-----
    """
  static let key1 = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrIhnu+T+q6kuhX3l
    skhZvXztU+X2cRyHa4sTB4MOR++hRANCAASNGUamDk3L4E5bdE18E4RKxiH6NOJP
    wZcgBTqF22o/+rZr0yTxy9KI3G/wQzzckapjvcYJGJS6xGW2YobI3gj+
    -----END PRIVATE KEY-----
    """
  static let certificate2 = """
    -----BEGIN CERTIFICATE-----
    MIIBoDCCAUegAwIBAgIUBvuLBCLiZsT16zUBKRMii3v7pLAwCgYIKoZIzj0EAwIw
    FzEVMBMGA1UEAwwMdHV0dGktdGVzdC0yMCAXDTI2MTEyOTA1MTM0OVoYDzIxMjYx
    MTA1MDUxMzQ5WjAXMRUwEwYDVQQDDAx0dXR0aS10ZXN0LTIwWTATBgcqhkjOPQIB
    BggqhkjOPQMBBwNCAAQJNOyNZ/wuNm05hwrPJafRlK7YtVCt33jE/BnW2L23giIX
    KKWagsgEQKO22+L/SRuw2EK4EKhADGZu4Brty0Gso28wbTAdBgNVHQ4EFgQUD72I
    H3CqSKK0+vjG0Xzs+5IIPYgwHwYDVR0jBBgwFoAUD72IH3CqSKK0+vjG0Xzs+5II
    PYgwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEw
    CgYIKoZIzj0EAwIDRwAwRAIgeqWZrEPoMpxsuqZOhFhXYoX6MISu2k7aIMrp8jWR
    gyECIB0+JpXU4NUOtFCbpkD6Su0+tdUD13BiWsmkbQTkHQwW
    -----END CERTIFICATE-----
    """
  static let key2 = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWTbEXcrs8O60fSMp
    OFBwvFM2LNZA1SATAttlcZiEBEShRANCAAQJNOyNZ/wuNm05hwrPJafRlK7YtVCt
    33jE/BnW2L23giIXKKWagsgEQKO22+L/SRuw2EK4EKhADGZu4Brty0Gs
    -----END PRIVATE KEY-----
    """
}
