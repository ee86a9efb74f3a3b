import Access
import ClusterModel
import Limits
import Money
import RegistryCore
import Store

/// Routes of keys and of the audit log.
extension AdminDocument {
  private static func limits(type: String) -> String {
    KeyLimitName.allCases.map {
      "\"\($0.rawValue)\": {\"type\": \(type), \"minimum\": 1, \"maximum\": "
        + "\(Limits.accessRateLimit.value)}"
    }.joined(separator: ", ")
  }

  private static let key = answer("Key", tag: recordTag, "The key, without its secret")
  private static let newKey = answer("NewKey", status: 201, tag: recordTag, "The new key")

  /// A route that changes the state of a key.
  private static func action(_ name: String, _ summary: String) -> String {
    #"""
    "/admin/v1/keys/{id}/\#(name)": {
      "parameters": [\#(parameter("KeyID")), \#(parameter("IfMatch"))],
      "post": {
        "summary": "\#(summary)",
        \#(responses(key, 404, 409, 412))
      }
    },
    """#
  }

  static let keyPaths = #"""
    "/admin/v1/keys": {
      "get": {
        "summary": "List keys by id, revoked ones included",
        "parameters": [\#(pageLimit), \#(afterID),
          \#(query("account", string, "Keys of this team, or of this organisation and its teams")),
          \#(query("state", #"{"enum": [\#(values(of: KeyState.self))]}"#, "State of the key"))],
        \#(responses(
          page(
            of: "Key",
            #", "is_open": {"type": "boolean", "description": "Requests need no key"}"#,
            required: #", "is_open""#)))
      },
      "post": {
        "summary": "Create a key; only this answer contains it",
        \#(body(
          "KeyDraft",
          example: #"{"name": "ci", "account": "acme/web", "limits": {"tokens_per_day": 100000}}"#)),
        \#(responses(newKey))
      }
    },
    "/admin/v1/keys/{id}": {
      "parameters": [\#(parameter("KeyID"))],
      "get": {
        "summary": "One key",
        \#(responses(key, 404))
      },
      "patch": {
        "summary": "Change a key; absent members stay, also those of permissions and limits",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body(
          "KeyChange", isRequired: false,
          example: #"{"limits": {"tokens_per_day": 200000, "requests_per_minute": null}}"#)),
        \#(responses(key, 404, 409, 412))
      },
      "delete": {
        "summary": "Revoke a key, which is final; it stays listed",
        "parameters": [\#(parameter("IfMatch"))],
        \#(responses(key, 404, 412))
      }
    },
    "/admin/v1/keys/{id}/rotate": {
      "parameters": [\#(parameter("KeyID")), \#(parameter("IfMatch"))],
      "post": {
        "summary": "Create a key with the same settings, and with unused limits and budgets; the old one stays valid for a grace period",
        \#(body("Rotation", isRequired: false, example: #"{"grace_ms": 3600000}"#)),
        \#(responses(newKey, 404, 409, 412))
      }
    },
    \#(action("disable", "Refuse the key until it is enabled"))
    \#(action("enable", "End the suspension of a key"))
    "/admin/v1/audit": {
      "get": {
        "summary": "Changes by admins, the latest first. At most \#(Limits.auditScan.value) are read for a page, so with filters a page may have few or none although next has a position",
        "parameters": [
          \#(query(
            "kind", string, "Kind of record: key, host, organisation, team, setting, model or price")),
          \#(query("id", string, "Id of the changed record")),
          \#(query("author", string, "admin-token, key tutti-ID or another author")),
          \#(query("action", #"{"enum": [\#(values(of: AuditAction.self))]}"#, "Effect on the record")),
          \#(timeFilters),
          \#(pageLimit),
          \#(query(
            "before", #"{"type": "integer", "minimum": 1}"#, "Member next of the previous page"))
        ],
        \#(responses(
          page(
            of: "AuditRecord",
            #", "next": {"type": ["integer", "null"], "description": "null: the last page"}"#,
            required: #", "next""#)))
      }
    },
    """#

  static let keyParameters = #"""
    "KeyID": {"name": "id", "in": "path", "required": true,
      "description": "With or without tutti- in front",
      "schema": {"type": "string", "pattern": "^(tutti-)?[a-z2-7]{\#(KeyID.characterCount)}$"}},
    """#

  /// Settings that both a new key and a change of a key may have.
  private static let keyMembers = #"""
    "account": {"type": ["string", "null"],
            "pattern": "^(?![.]{1,2}(/|$))[a-z0-9._-]{1,64}(/(?![.]{1,2}$)[a-z0-9._-]{1,64})?$",
            "description": "ORGANISATION or ORGANISATION/TEAM; of a new key: \#(KeyRegistry.defaultAccount)"},
          "scopes": {"type": ["array", "null"], "minItems": 1,
            "items": {"$ref": "#/components/schemas/Scope"},
            "description": "Of a new key: chat, embeddings, plans"},
          "permissions": {"type": ["object", "null"], "additionalProperties": false,
            "properties": {
              "models": {"$ref": "#/components/schemas/Names"},
              "patterns": {"type": ["array", "null"],
                "items": {"enum": [\#(values(of: PatternName.self))]}},
              "data_policies": {"type": ["array", "null"],
                "items": {"enum": [\#(values(of: DataPolicy.self))]},
                "description": "The least strict one is the minimum trust of the hosts that may receive the key's requests; null or empty: any"},
              "host_pools": {"$ref": "#/components/schemas/Names"}}},
          "limits": {"type": ["object", "null"], "additionalProperties": false,
            "description": "null removes a limit",
            "properties": {\#(limits(type: #"["integer", "null"]"#))}},
          "expires_at_ms": {"type": ["integer", "null"], "minimum": 0,
            "maximum": \#(UTCDate.times.upperBound),
            "description": "A time in the future; null: the key does not expire"}
    """#

  private static let keyName =
    #""minLength": 1, "maxLength": \#(Limits.accessNameBytes.value), "#
    + #""description": "At most \#(Limits.accessNameBytes.value) bytes, without control characters""#

  static let keySchemas = #"""
    "KeyDraft": {"type": "object", "required": ["name"], "additionalProperties": false,
      "properties": {
        "name": {"type": "string", \#(keyName)},
        \#(keyMembers)}},
    "KeyChange": {"type": "object", "additionalProperties": false,
      "properties": {
        "name": {"type": ["string", "null"], \#(keyName)},
        \#(keyMembers)}},
    "Rotation": {"type": "object", "additionalProperties": false,
      "properties": {
        "grace_ms": {"type": ["integer", "null"], "minimum": 0,
          "maximum": \#(Limits.accessGrace.value), "default": \#(KeyRegistry.defaultGrace),
          "description": "How long the old key stays valid"}}},
    "Scope": {"enum": [\#(values(of: AccessScope.self))]},
    "Names": {"type": ["array", "null"], "maxItems": \#(Limits.accessListEntries.value),
      "items": {"type": "string", "minLength": 1},
      "description": "null or empty: all"},
    "Key": {
      "type": "object",
      "required": ["object", "id", "name", "account", "scopes", "permissions", "limits",
        "state", "expires_at_ms", "replaces", "grace_until_ms"],
      "properties": {
        "object": {"const": "key"},
        "id": {"type": "string"},
        "name": {"type": "string"},
        "account": {"type": "string"},
        "scopes": {"type": "array", "items": {"$ref": "#/components/schemas/Scope"}},
        "permissions": {"type": "object",
          "description": "Each list: empty means all",
          "required": ["models", "patterns", "data_policies", "host_pools"],
          "properties": {
            "models": {"type": "array", "items": {"type": "string"}},
            "patterns": {"type": "array", "items": {"type": "string"}},
            "data_policies": {"type": "array", "items": {"type": "string"}},
            "host_pools": {"type": "array", "items": {"type": "string"}}}},
        "limits": {"type": "object", "description": "Absent means no limit",
          "properties": {\#(limits(type: #""integer""#))}},
        "state": {"enum": [\#(values(of: KeyState.self))]},
        "expires_at_ms": {"type": ["integer", "null"]},
        "replaces": {"type": ["string", "null"],
          "description": "Id of the older key that this one replaces"},
        "grace_until_ms": {"type": ["integer", "null"],
          "description": "A newer key replaced this one, which is valid before this time"}}
    },
    "NewKey": {"allOf": [
      {"$ref": "#/components/schemas/Key"},
      {"type": "object", "required": ["key"], "properties": {"key": {"type": "string",
        "pattern": "^tutti-[a-z2-7]{\#(KeyID.characterCount)}-[A-Za-z0-9_-]{43}$",
        "description": "The whole key. It is shown only here"}}}]},
    "AuditRecord": {
      "type": "object",
      "required": ["object", "position", "time_ms", "author", "action", "kind", "id", "before",
        "after"],
      "properties": {
        "object": {"const": "audit"},
        "position": {"type": "integer"},
        "time_ms": {"type": "integer"},
        "author": {"type": "string",
          "description": "admin-token, key tutti-ID, configuration or registry"},
        "action": {"enum": [\#(values(of: AuditAction.self))],
          "description": "The end of a key is a change of its state"},
        "kind": {"type": "string"},
        "id": {"type": "string"},
        "before": {"type": ["object", "string", "null"],
          "description": "The record, a string for some settings. null: it was absent"},
        "after": {"type": ["object", "string", "null"],
          "description": "The record, a string for some settings. null: it was removed"}}
    },
    """#
}
