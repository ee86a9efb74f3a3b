import Access
import ClusterModel
import Files
import ServiceKit

extension KeyPepper {
  /// Reads the pepper of the data directory, or makes it at the first start.
  ///
  /// - Parameter hasKeys: whether keys were hashed with the pepper. If so, a missing pepper is an
  ///   error, because no key would match a new one.
  init(dataDirectory: String, hasKeys: Bool) throws(ProcessFailure) {
    let path = dataDirectory + "/key-pepper"
    let bytes: [UInt8]?
    do throws(FileRefused) {
      if !hasKeys { _ = try PrivateFile.create(path, Self.random(Self.byteCount)) }
      // The limit is one byte more than a pepper has, so that a longer file is noticed.
      bytes = try PrivateFile.read(path, atMost: Self.byteCount + 1)
    } catch {
      throw ProcessFailure(.unavailable, error.message)
    }
    guard let bytes else {
      throw ProcessFailure(
        .unavailable,
        "\(path) is missing. The keys in \(dataDirectory)/accounts.sqlite were hashed with it, so "
          + "none of them could be checked. Restore the file from a backup.")
    }
    guard let pepper = KeyPepper(bytes) else {
      throw ProcessFailure(
        .unavailable,
        "\(path) holds \(bytes.count) bytes in place of \(Self.byteCount). "
          + (hasKeys
            ? "Restore it from a backup." : "Remove it to have a new one made: no key exists yet."))
    }
    self = pepper
  }

  /// Random bytes of the system's generator.
  static func random(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }
}
