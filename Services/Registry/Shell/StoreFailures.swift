import ClusterModel
import Store

extension Failure {
  /// The error of a change that the store did not confirm.
  ///
  /// If the connection to the store was lost, the change may have been stored.
  static func notStored(_ cause: Failure) -> Failure {
    let outcome =
      cause.code == .storeUnreachable
      ? "It is unknown whether the change was stored; read the record again before you repeat it."
      : "The change could not be stored, so nothing was changed."
    return Failure(cause.code, "\(outcome) \(cause.message)")
  }

  /// The error of a change for which the store does not have the expected records.
  static var storeChanged: Failure {
    Failure(
      .storeFailed,
      "Another process has changed the stored accounts, so nothing was changed. Restart the "
        + "registry.")
  }
}
