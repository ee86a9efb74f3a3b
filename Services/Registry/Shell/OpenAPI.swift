import ClusterModel
import ServiceKit

/// The admin API's description. It is served unchanged.
let adminOpenAPI = AdminDocument.text

/// The description of the admin API, and the parts that several routes share.
///
/// Extensions add the routes. Each part is JSON text: one value, or several members.
enum AdminDocument {
  static let text = #"""
    {
      "openapi": "3.1.0",
      "info": {
        "title": "Tutti registry admin API",
        "version": "1",
        "description": "\#(introduction)"
      },
      "security": [{"bearer": []}],
      "paths": {
    \#(hostPaths)
    \#(keyPaths)
    \#(modelPaths)
    \#(accountPaths)
    \#(settingPaths)
        "/admin/v1/services": {
          "get": {
            "summary": "The processes on the bus, by name",
            \#(responses(page(of: "Peer")))
          }
        },
        "/admin/v1/proof": {
          "get": {
            "summary": "Proof that this registry knows the admin token, before it is sent here",
            "security": [],
            "parameters": [{"name": "nonce", "in": "query", "required": true,
              "description": "Random; never used twice",
              "schema": {"type": "string", "pattern": "^[0-9a-f]{\#(AdminProof.nonceDigits)}$"}}],
            \#(responses(answer("Proof"), isOpen: true))
          }
        },
        "/admin/v1/openapi.json": {
          "get": {
            "summary": "This document",
            \#(responses(#""200": {"description": "OpenAPI 3.1", "#
              + #""content": {"application/json": {"schema": {"type": "object"}}}}"#))
          }
        }
      },
      "components": {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer",
          "description": "TUTTI_ADMIN_TOKEN, the contents of DATA_DIR/admin-token, or a key"}},
        "parameters": {
    \#(hostParameters)
    \#(keyParameters)
    \#(modelParameters)
    \#(accountParameters)
    \#(sharedParameters)
        },
        "responses": {
          \#(DescribedError.all.map(\.response).joined(separator: ",\n      "))
        },
        "schemas": {
    \#(hostSchemas)
    \#(keySchemas)
    \#(modelSchemas)
    \#(accountSchemas)
    \#(settingSchemas)
          "Peer": {
            "type": "object",
            "required": ["name", "incarnation", "service", "version", "mailbox", "ttl_ms"],
            "properties": {
              "name": {"type": "string"},
              "incarnation": {"type": "string", "description": "Hexadecimal"},
              "service": {"type": "string"},
              "version": {"type": "string"},
              "mailbox": {"type": "string"},
              "ttl_ms": {"type": "integer"}}
          },
          "Proof": {
            "type": "object", "required": ["object", "proof"],
            "properties": {
              "object": {"const": "proof"},
              "proof": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description":
                "HMAC-SHA256 with the admin token as key over \"tutti-registry-proof:\" and the nonce's digits"}}
          },
          "Error": {
            "type": "object", "required": ["error"],
            "properties": {"error": {
              "type": "object", "required": ["message", "type", "param", "code"],
              "properties": {
                "message": {"type": "string", "description": "What is wrong and what to do"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"],
                  "description": "The wrong parameter or member; null: none"},
                "code": {"type": ["string", "null"]}}}}
          }
        }
      }
    }

    """#

  private static let introduction =
    "Hosts that answer requests, keys of clients, models, accounts and money, run-time settings, and "
    + "processes of the cluster. GET needs the admin token or a key with the scope admin:read or "
    + "admin:write, other methods the token or admin:write. Bodies have at most 64 KiB. A member with "
    + "an unknown name is an error. Members with the suffix _ms are milliseconds since 1970, or a "
    + "duration. Names and ids are limited in bytes of UTF-8, which maxLength counts as characters. "
    + "Each GET also answers HEAD. A path without a route is a 404 unknown_path, and another method "
    + "a 405 method_not_allowed."

  /// The raw values of an enumeration as elements of a JSON array.
  static func values<Choice: CaseIterable & RawRepresentable<String>>(of _: Choice.Type) -> String {
    Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
  }
}

// MARK: - Errors

/// A status of an error, and the error codes that an answer with this status may have.
struct DescribedError {
  let status: Int
  /// Name of the error in `components.responses`.
  let name: String
  let description: String
  let codes: [String]
  /// Header that an answer with this status has. `nil` means none.
  var header: String?

  private static let retryAfter =
    #""Retry-After": {"schema": {"type": "integer", "minimum": 1}, "#
    + #""description": "Seconds to wait before a retry"}"#

  static let all = [
    DescribedError(
      status: 400, name: "BadRequest",
      description: "A parameter, a member of the body, or the request itself is wrong",
      codes: ["invalid_request_error"]),
    DescribedError(
      status: 401, name: "Unauthorized",
      description: "The admin token or the key is missing or not valid",
      codes: ["invalid_api_key"],
      header: #""WWW-Authenticate": {"schema": {"const": "Bearer"}}"#),
    DescribedError(
      status: 403, name: "Forbidden",
      description: "The key lacks the scope, or the headers Host or Origin are not permitted",
      codes: ["permission_denied"]),
    DescribedError(
      status: 404, name: "NotFound", description: "There is no such record",
      codes: [
        "host_not_found", "key_not_found", "model_not_found", "not_found", "unknown_path",
      ]),
    DescribedError(
      status: 408, name: "RequestTimeout", description: "The request arrived too slowly",
      codes: ["request_timeout"]),
    DescribedError(
      status: 409, name: "Conflict",
      description: "A record with this id exists, or the state of the record does not permit the "
        + "request",
      codes: [
        "host_exists", "key_ended", "conflict", "insufficient_balance", "account_in_use",
        "holds_open",
      ]),
    DescribedError(
      status: 412, name: "PreconditionFailed",
      description: "The record has another ETag than If-Match, or was changed at the same time: "
        + "read it again",
      codes: ["conflict"]),
    DescribedError(
      status: 413, name: "TooLarge", description: "The body has more than 64 KiB",
      codes: ["request_too_large"]),
    DescribedError(
      status: 429, name: "RateLimited",
      description: "Many wrong tokens or keys came from this address, or it has too many "
        + "connections",
      codes: ["rate_limited"], header: retryAfter),
    DescribedError(
      status: 431, name: "HeadersTooLarge", description: "The headers have more than 32 KiB",
      codes: ["headers_too_large"]),
    DescribedError(
      status: 500, name: "InternalError",
      description: "A bug, or the store cannot be written or read; a change was not made",
      codes: ["internal_error"]),
    DescribedError(
      status: 503, name: "Unavailable",
      description: "A limit of the registry is reached, it is starting or stopping, or its store "
        + "does not answer or has no room. After store_unreachable the change may have been made: "
        + "read the record",
      codes: ["overloaded", "store_full", "store_unreachable"], header: retryAfter),
  ]

  /// The statuses that any request may get.
  static let common = [400, 401, 403, 408, 413, 429, 431, 500, 503]

  /// The error's description, as a member of `components.responses`.
  var response: String {
    let headers = header.map { #""headers": {\#($0)}, "# } ?? ""
    let codes = codes.map { "\"\($0)\"" }.joined(separator: ", ")
    return #""\#(name)": {"description": "\#(description)", \#(headers)"content": "#
      + ##"{"application/json": {"schema": {"allOf": [{"$ref": "#/components/schemas/Error"}, "##
      + #"{"properties": {"error": {"properties": {"code": {"enum": [\#(codes)]}}}}}]}}}}"#
  }
}

extension AdminDocument {
  /// The member `responses` of a route.
  ///
  /// - Parameters:
  ///   - successes: responses by status, as members.
  ///   - errors: statuses of errors, in addition to those that any request may get.
  ///   - isOpen: whether the route needs no key.
  static func responses(_ successes: String, _ errors: Int..., isOpen: Bool = false) -> String {
    let statuses = Set(DescribedError.common).union(errors).subtracting(isOpen ? [401] : [])
    let described = DescribedError.all.filter { statuses.contains($0.status) }.map {
      ##""\##($0.status)": {"$ref": "#/components/responses/\##($0.name)"}"##
    }
    return #""responses": {\#(successes), \#(described.joined(separator: ", "))}"#
  }

  // MARK: - Answers and bodies

  /// An answer with a record.
  ///
  /// - Parameter tag: description of the answer's ETag. `nil` means that the answer has no ETag.
  static func answer(
    _ schema: String, status: Int = 200, tag: String? = nil, _ description: String = "Done"
  ) -> String {
    let headers =
      tag.map {
        #""headers": {"ETag": {"schema": {"type": "string"}, "description": "\#($0)"}}, "#
      } ?? ""
    return #""\#(status)": {"description": "\#(description)", \#(headers)"content": "#
      + ##"{"application/json": {"schema": {"$ref": "#/components/schemas/\##(schema)"}}}}"##
  }

  /// Description of the ETag of most records.
  static let recordTag = "Changes with the record; for If-Match"

  /// An answer with a page of records.
  ///
  /// - Parameter members: further members of the page, each with a comma before it.
  static func page(of schema: String, _ members: String = "", required: String = "") -> String {
    #""200": {"description": "A page", "content": {"application/json": {"schema": "#
      + #"{"type": "object", "required": ["object", "data", "has_more"\#(required)], "#
      + #""properties": {"object": {"const": "list"}, "has_more": {"type": "boolean"}\#(members), "#
      + ##""data": {"type": "array", "items": {"$ref": "#/components/schemas/\##(schema)"}}}}}}}"##
  }

  /// The answer to the removal of a record.
  static func removal(of object: String) -> String {
    #""200": {"description": "Removed", "content": {"application/json": {"schema": "#
      + #"{"type": "object", "required": ["object", "id", "deleted"], "properties": "#
      + #"{"object": {"const": "\#(object)"}, "id": {"type": "string"}, "#
      + #""deleted": {"const": true}}}}}}"#
  }

  /// The member `requestBody` of a route.
  ///
  /// - Parameter example: a body that the route accepts.
  static func body(_ schema: String, isRequired: Bool = true, example: String) -> String {
    #""requestBody": {"required": \#(isRequired), "content": {"application/json": {"schema": "#
      + ##"{"$ref": "#/components/schemas/\##(schema)"}, "example": \##(example)}}}"##
  }

  // MARK: - Parameters

  /// A parameter of the query.
  static func query(
    _ name: String, _ schema: String, _ description: String, isRequired: Bool = false
  ) -> String {
    #"{"name": "\#(name)", "in": "query", \#(isRequired ? #""required": true, "# : "")"#
      + #""description": "\#(description)", "schema": \#(schema)}"#
  }

  /// A reference to a parameter that several routes have.
  static func parameter(_ name: String) -> String {
    ##"{"$ref": "#/components/parameters/\##(name)"}"##
  }

  static let string = #"{"type": "string"}"#
  static let pageLimit = query(
    "limit",
    #"{"type": "integer", "minimum": \#(AdminAPI.pages.lowerBound), "#
      + #""maximum": \#(AdminAPI.pages.upperBound), "default": 100}"#,
    "Maximum length of the page")
  static let afterID = query("after", string, "Last id of the previous page")

  private static let sharedParameters = #"""
          "IfMatch": {"name": "If-Match", "in": "header",
            "description": "ETag of the record that was read, with its quotes; 412 if it has another one now",
            "schema": {"type": "string"}}
    """#
}
