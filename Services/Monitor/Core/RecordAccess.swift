public import Access
public import ClusterModel

/// The request records that a client of the monitor may read.
public enum RecordAccess: Hashable, Sendable {
  /// The key has the scope `logs`, or the cluster requires no key.
  case all
  /// Only records of requests with this key, and not those of other keys of the same account.
  case own(KeyID)

  /// Scopes of keys that make requests. A key with one of these scopes may read the records of its
  /// own requests.
  private static let clientScopes: Set<AccessScope> = [.chat, .embeddings, .plans]

  /// - Parameter key: a valid key. `nil` means that the cluster requires none.
  /// - Throws: `permission_denied` if the key has neither the scope `logs` nor one of
  ///   `clientScopes`.
  public init(_ key: KeyRecord?) throws(Failure) {
    guard let key, let refusal = key.refusal(of: AccessNeed(.logs)) else {
      self = .all
      return
    }
    guard !key.scopes.isDisjoint(with: Self.clientScopes) else { throw refusal.failure }
    self = .own(key.id)
  }

  /// The key whose requests are listed. `nil` means the requests of all keys.
  ///
  /// - Parameter named: the key that the client's query names. `nil` means that it names none.
  /// - Throws: `permission_denied` if a client without the scope `logs` names another key than its
  ///   own.
  public func key(named: KeyID?) throws(Failure) -> KeyID? {
    switch self {
    case .all: return named
    case .own(let own):
      guard named == nil || named == own else {
        throw Failure(
          .permissionDenied,
          "This key may read only records of its own requests. Leave out the parameter key, or use "
            + "a key with the scope logs.", param: "key")
      }
      return own
    }
  }

  /// The records as the client may read them. The hosts' prices are the operator's, so only the
  /// scope `logs` shows the cost of a host.
  public func visible(_ requests: [RequestRecord]) -> [RequestRecord] {
    guard case .own = self else { return requests }
    return requests.map { request in
      var request = request
      request.hostCost = nil
      for index in request.shares.indices { request.shares[index].cost = nil }
      return request
    }
  }

  /// The spans as the client may read them.
  public func visible(_ spans: [SpanRecord]) -> [SpanRecord] {
    guard case .own = self else { return spans }
    return spans.map { span in
      var span = span
      span.attributes.removeAll { $0.key == SpanRecord.hostCostKey }
      span.attributes = span.attributes.map { AttemptFacts.withoutPrices(in: $0) }
      return span
    }
  }

  /// Whether the client may read the trace with these request records. Without the scope `logs`, it
  /// may not read the trace of a running request, which has no request record yet.
  public func permits(traceOf requests: [RequestRecord]) -> Bool {
    switch self {
    case .all: true
    case .own(let own): !requests.isEmpty && requests.allSatisfy { $0.key == own.description }
    }
  }
}
