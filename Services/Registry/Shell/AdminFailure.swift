import ClusterModel
import HTTPTypes
import Hummingbird
import RegistryCore
import ServiceKit
import Store

/// An error of the admin API with its HTTP status.
struct AdminFailure: Error {
  let failure: Failure
  private let status: HTTPResponse.Status?

  /// - Parameters:
  ///   - param: the wrong member of the request. `nil` means the member that `failure` names.
  ///   - status: the status of this error. `nil` means the status of its code.
  init(_ failure: Failure, param: String? = nil, status: HTTPResponse.Status? = nil) {
    var failure = failure
    if let param { failure.param = param }
    self.failure = failure
    self.status = status ?? Self.statuses[failure.code]
  }

  var response: Response {
    guard let status else { return jsonError(failure) }
    let error = ErrorBody(
      message: failure.message, type: "invalid_request_error", param: failure.param,
      code: failure.code.rawValue)
    return body(error.json, status)
  }

  /// Codes that only this API has. All others are in the common table.
  private static let statuses: [Failure.Code: HTTPResponse.Status] = [
    .accountInUse: .conflict, .conflict: .preconditionFailed, .holdsOpen: .conflict,
    .hostExists: .conflict, .hostNotFound: .notFound, .keyEnded: .conflict, .keyNotFound: .notFound,
    .notFound: .notFound,
  ]
}

// MARK: - Common errors

extension AdminFailure {
  init(invalid message: String, param: String? = nil) {
    self.init(Failure(.invalidRequest, message), param: param)
  }

  init(missing name: String) { self.init(invalid: "\(name) is missing.", param: name) }

  init(fixed name: String) {
    self.init(invalid: "\(name) cannot be changed; create another record.", param: name)
  }

  init(noHost id: HostID) {
    self.init(
      Failure(
        .hostNotFound,
        "There is no host \(id); `tutti hosts list` or GET /admin/v1/hosts lists all hosts."))
  }

  init(notFound what: String) {
    self.init(Failure(.notFound, "There is no \(what.cut(toBytes: 200))."))
  }

  /// Makes the error of a record that has changed since the client read it.
  ///
  /// - Parameter tag: the record's present ETag.
  init(changedTo tag: String) {
    self.init(
      Failure(
        .conflict, "Another admin changed the record (its ETag is \(tag)); read it again."))
  }

  /// Makes an error that names the member that cannot be read.
  init(_ error: DecodingError) {
    let (context, reason): (DecodingError.Context, String) =
      switch error {
      case .keyNotFound(let key, let context): (context, "\(key.stringValue) is missing")
      case .typeMismatch(_, let context): (context, "has the wrong type")
      case .valueNotFound(_, let context): (context, "must not be null")
      case .dataCorrupted(let context): (context, context.debugDescription)
      @unknown default:
        (DecodingError.Context(codingPath: [], debugDescription: ""), "cannot be read")
      }
    let path = context.codingPath.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }
      .joined(separator: ".").cut(toBytes: 100)
    self.init(
      invalid: path.isEmpty ? "The body: \(reason)." : "\(path): \(reason).",
      param: path.isEmpty ? nil : path)
  }
}

// MARK: - Errors of accounts and money

extension AdminFailure {
  /// - Parameter isNew: whether the request makes a record.
  init(_ error: AccountShell.OrderError, isNew: Bool) {
    switch error {
    case .failed(let failure): self.init(failure)
    case .refused(let refusal): self.init(refusal)
    case .conflict where isNew:
      self.init(
        Failure(.conflict, "A record with this name exists; use PATCH."), status: .conflict)
    case .conflict(let current?): self.init(changedTo: current.tag)
    case .conflict(nil): self.init(notFound: "such record")
    }
  }

  private init(_ refusal: AccountRefusal) {
    switch refusal {
    // The book is rebuilt, so clients may retry.
    case .stale: self.init(Failure(.overloaded, "\(refusal)"))
    case .inUse(_, let use):
      self.init(Failure(use.isTemporary ? .holdsOpen : .accountInUse, "\(refusal)"))
    case .removedOrganisation:
      self.init(Failure(.conflict, "\(refusal)"), param: "id", status: .conflict)
    case .repeatedID:
      self.init(Failure(.conflict, "\(refusal)"), param: "id", status: .conflict)
    case .insufficient:
      self.init(
        Failure(.insufficientBalance, "\(refusal)"), param: "amount", status: .conflict)
    default: self.init(invalid: "\(refusal)")
    }
  }
}

extension RecordRevision {
  /// As an ETag.
  var tag: String { "\"\(number)\"" }
}

extension Failure.Code {
  static let notFound = Failure.Code(rawValue: "not_found")
  /// The account has keys, teams or a balance.
  static let accountInUse = Failure.Code(rawValue: "account_in_use")
  /// Gateways hold credits for requests of the account. A repetition succeeds when they have ended.
  static let holdsOpen = Failure.Code(rawValue: "holds_open")
}
