public import ClusterModel

/// Rights that a request needs.
public struct AccessNeed: Hashable, Sendable {
  /// Part of the API that the request uses. `nil` means that any valid key is enough.
  public var scope: AccessScope?
  /// Models that the request names. If it names none, the caller offers only models that the key
  /// allows.
  public var models: [ModelID]
  public var pattern: PatternName?
  var dataPolicy: DataPolicy?

  public init(
    _ scope: AccessScope? = nil, models: [ModelID] = [], pattern: PatternName? = nil,
    dataPolicy: DataPolicy? = nil
  ) {
    self.scope = scope
    self.models = models
    self.pattern = pattern
    self.dataPolicy = dataPolicy
  }
}

public enum AccessDecision: Hashable, Sendable {
  /// The cluster requires no key, because no key was ever created.
  case open
  case allowed(KeyRecord)
  case refused(AccessRefusal)

  /// Why the request is refused. `nil` means that the request may be answered.
  public var refusal: AccessRefusal? {
    if case .refused(let refusal) = self { refusal } else { nil }
  }
}

/// Why a request was refused, and the error that the client gets.
public struct AccessRefusal: Hashable, Sendable {
  public enum Reason: Hashable, Sendable {
    // The request has no valid key. The answer's status is 401.
    case missing
    case unusable(PresentedKey.Problem)
    /// The id is not in the table, or the secret is wrong.
    case unknown
    case expired, disabled, revoked
    /// A newer key replaced this one, and its grace period is over.
    case replaced
    // The request has a valid key that does not permit it. The answer's status is 403.
    case scope(AccessScope)
    case model, pattern, dataPolicy
  }

  public let reason: Reason
  /// Id of the presented key. `nil` means that no key was checked: it is missing or unusable.
  public let key: KeyID?

  /// The request has no key, but the route requires one even if no key was ever created.
  public static let missing = AccessRefusal(.missing)

  init(_ reason: Reason, key: KeyID? = nil) {
    self.reason = reason
    self.key = key
  }

  /// Whether the presented key is unusable, has an unknown id or has a wrong secret. Such a key may
  /// be a guess.
  public var isFailedAttempt: Bool {
    switch reason {
    case .unusable, .unknown: true
    case .missing, .expired, .disabled, .revoked, .replaced, .scope, .model, .pattern, .dataPolicy:
      false
    }
  }

  /// HTTP status: 401 if there is no valid key, 403 if the key does not permit the request.
  public var status: Int { code == .invalidAPIKey ? 401 : 403 }

  var code: Failure.Code {
    switch reason {
    case .missing, .unusable, .unknown, .expired, .disabled, .revoked, .replaced: .invalidAPIKey
    case .scope, .model, .pattern, .dataPolicy: .permissionDenied
    }
  }

  /// The error for the client. It contains the key's id, never the secret or other client text.
  public var failure: Failure { Failure(code, message, param: param) }

  private var param: String? {
    switch reason {
    case .model, .pattern: "model"
    case .dataPolicy: "tutti.data_policy"
    case .missing, .unusable, .unknown, .expired, .disabled, .revoked, .replaced, .scope: nil
    }
  }

  private var message: String {
    let name = key.map { "The key tutti-\($0)" } ?? "The key"
    return switch reason {
    case .missing:
      "The request has no key. Send one in the header \"Authorization: Bearer KEY\"; an admin "
        + "makes keys with \"tutti keys create\"."
    case .unusable(.malformed):
      "The key is not of the form tutti-ID-SECRET. Copy it again, whole and without line breaks."
    case .unusable(.several):
      "The request has different keys in its headers. Send one key, in the header "
        + "\"Authorization: Bearer KEY\"."
    case .unusable(.inQuery):
      "The URL contains a key. URLs are written to logs, so keys are accepted only in the header "
        + "\"Authorization: Bearer KEY\". Replace this key with \"tutti keys rotate\"."
    case .unknown:
      "\(name) is not valid: its id is unknown or its secret is wrong. Compare it with "
        + "\"tutti keys list\", or ask an admin for a new one."
    case .expired: "\(name) has expired. Ask an admin to extend or replace it."
    case .disabled: "\(name) is disabled. Ask an admin to enable it."
    case .revoked: "\(name) was revoked. Ask an admin for a new one."
    case .replaced: "\(name) was replaced and its grace period is over. Use the new key."
    case .scope(let scope):
      "\(name) lacks the scope \(scope.rawValue). Use another key, or ask an admin to add it."
    case .model:
      "\(name) does not permit this model. GET /v1/models lists those that it permits."
    case .pattern:
      "\(name) does not permit this pattern. GET /v1/models lists those that it permits."
    case .dataPolicy:
      "\(name) requires a stricter data policy. Omit tutti.data_policy to get the one of the key, "
        + "or ask an admin."
    }
  }
}
