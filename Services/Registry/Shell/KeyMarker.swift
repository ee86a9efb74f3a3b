import ClusterModel
import Files

/// A file of the data directory that exists once the cluster has had a key.
///
/// The store with the keys may be lost, or the registry may start with another one. With this file,
/// a registry whose store has no keys still requires them.
struct KeyMarker: Sendable {
  let path: String

  private static let contents = """
    A key was created here, so requests need one even if the registry's store has none.
    To open the cluster to requests without a key, stop the registry and remove this file.

    """

  init(dataDirectory: String) { path = dataDirectory + "/keys-required" }

  /// Whether the file exists. Other users may read it, because it has no secret.
  func exists() throws(ProcessFailure) -> Bool {
    do throws(FileRefused) {
      return try PrivateFile.check(path, others: .mayRead)
    } catch {
      throw ProcessFailure(.unavailable, error.message)
    }
  }

  /// Creates the file, unless it exists.
  func create() throws(FileRefused) {
    _ = try PrivateFile.create(path, Array(Self.contents.utf8))
  }
}
