import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import Overload
import ServiceKit

/// Decides who may use the admin API: holders of the admin token, and of keys with an admin scope.
struct AdminGate: Sendable {
  /// Whether clients need no key.
  var isOpen: Bool { keys.isOpen == true }

  let token: AdminToken
  let keys: KeyChecker
  /// Turns of admins who read from the store. One admin reads at a time, because SQLite has two
  /// readers here, and settlements need one.
  let storeReads = ClientTurns(limit: 1)

  /// Checks a request.
  ///
  /// - Parameter isChange: `true` means that the request needs the scope `admin:write`. `false`
  ///   means that `admin:read` is enough, too.
  /// - Returns: the admin's name for the audit log.
  /// - Throws: `invalid_api_key`, `permission_denied`, or `rate_limited` after many wrong attempts.
  func author(of request: Request, isChange: Bool) throws(Failure) -> String {
    switch PresentedKey(request) {
    case .absent:
      throw Failure(
        .invalidAPIKey,
        "Send the admin token (DATA_DIR/admin-token), or a key with the scope "
          + (isChange ? "admin:write" : "admin:read") + ", as Authorization: Bearer TOKEN.")
    case .unusable(.malformed):
      guard let candidate = bearer(request) else { break }
      guard try keys.checkToken({ token.matches(candidate) }) else {
        throw Failure(
          .invalidAPIKey,
          "The token is not the admin token of this cluster, which is in DATA_DIR/admin-token "
            + "unless the registry was started with TUTTI_ADMIN_TOKEN.")
      }
      return "admin-token"
    case .key, .unusable(.several), .unusable(.inQuery): break
    }
    let need = isChange ? AccessNeed(.adminWrite) : AccessNeed()
    guard let key = try keys.check(request, for: need) else {
      throw Failure(
        .invalidAPIKey,
        "The key is not valid: no key was created yet. Send the admin token (DATA_DIR/admin-token)."
      )
    }
    if !isChange, !key.scopes.contains(.adminWrite),
      let refusal = key.refusal(of: AccessNeed(.adminRead))
    {
      throw refusal.failure
    }
    return "key tutti-\(key.id)"
  }

  /// Waits until an admin may read from the store.
  func storeRead(by author: String) async throws(Failure) -> ClientTurns.Turn {
    try await storeReads.enter(for: UInt64(truncatingIfNeeded: author.hashValue))
  }

  private func bearer(_ request: Request) -> String? {
    guard let header = request.headers[.authorization], header.lowercased().hasPrefix("bearer ")
    else { return nil }
    return String(header.dropFirst("bearer ".count))
  }
}
