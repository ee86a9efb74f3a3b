public import ClusterModel
import Crypto
import Foundation

/// Key pair that identifies a process on `tcp://`. The registry stores its key pair in a file, so
/// that peers which pinned the public key trust it after a restart. Other processes generate a key
/// pair at each start.
public struct BusIdentity: Sendable {
  private let privateKey: Curve25519.KeyAgreement.PrivateKey
  public let publicKey: [UInt8]

  /// Generates a key pair.
  public init() { self.init(Curve25519.KeyAgreement.PrivateKey()) }

  private init(_ key: Curve25519.KeyAgreement.PrivateKey) {
    privateKey = key
    publicKey = Array(key.publicKey.rawRepresentation)
  }

  /// Reads the key pair from a file of mode 0600, or creates the file if it is absent.
  /// - Throws: an error if other users may read the file or it contains no key; its message says
  ///   what to do.
  public init(file path: String) throws(Failure) {
    if let made = try Self.make(path) {
      self = made
      return
    }
    func refuse(_ why: String) -> Failure {
      Failure(.internalError, "\(path) \(why): remove it to have a new key made.")
    }
    let descriptor = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { throw refuse("cannot be read") }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      status.st_uid == getuid(), status.st_mode & 0o077 == 0
    else { throw refuse("is not a file that only this user can use (mode 0600)") }
    var bytes = [UInt8](repeating: 0, count: 33)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    guard count == 32,
      let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes.prefix(32))
    else { throw refuse("does not hold a key of 32 bytes") }
    self.init(key)
  }

  /// - Returns: `nil` if the file already exists.
  private static func make(_ path: String) throws(Failure) -> BusIdentity? {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    if descriptor < 0 {
      if errno == EEXIST { return nil }
      throw Failure(
        .internalError,
        "cannot create \(path): \(unsafe String(cString: strerror(errno))); check the data directory."
      )
    }
    defer { close(descriptor) }
    let made = BusIdentity()
    let bytes = Array(made.privateKey.rawRepresentation)
    guard unsafe write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
      _ = unsafe unlink(path)
      throw Failure(.internalError, "cannot write \(path): is the disk full?")
    }
    return made
  }

  /// Computes the shared secret with the holder of another key. `nil` if the bytes are not a key.
  func shared(with other: [UInt8]) -> [UInt8]? {
    guard let key = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: other),
      let secret = try? privateKey.sharedSecretFromKeyAgreement(with: key)
    else { return nil }
    return unsafe secret.withUnsafeBytes { unsafe [UInt8]($0) }
  }
}
