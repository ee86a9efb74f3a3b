import Access
import ClusterModel
import Limits
import RegistryCore

// Keys and the audit log in the admin API's description. Each part is a run of members.

private let integer = #""integer""#
private let optionalInteger = #"["integer", "null"]"#

private func limits(type: String) -> String {
  KeyLimitName.allCases.map {
    "\"\($0.rawValue)\": {\"type\": \(type), \"minimum\": 1, \"maximum\": "
      + "\(Limits.accessRateLimit.value)}"
  }.joined(separator: ", ")
}

let keyPaths = #"""
        "/admin/v1/keys": {
          "get": {
            "summary": "List keys by id, revoked ones included",
            "parameters": [
              {"name": "limit", "in": "query",
               "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
              {"name": "after", "in": "query", "description": "Last id of the previous page",
               "schema": {"type": "string"}}
            ],
            "responses": {
              "200": {"description": "A page", "content": {"application/json": {"schema": {
                "type": "object", "required": ["object", "data", "has_more", "is_open"],
                "properties": {
                  "object": {"const": "list"},
                  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Key"}},
                  "has_more": {"type": "boolean"},
                  "is_open": {"type": "boolean", "description": "Requests need no key"}}}}}},
              "400": {"$ref": "#/components/responses/Error"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"}
            }
          },
          "post": {
            "summary": "Create a key; only this answer contains it",
            "requestBody": {"required": true, "content": {"application/json": {"schema": {
              "type": "object", "required": ["name"], "additionalProperties": false,
              "properties": {
                "name": {"type": "string", "minLength": 1,
                  "maxLength": \#(Limits.accessNameBytes.value),
                  "description": "At most \#(Limits.accessNameBytes.value) bytes, without control characters"},
                "account": {"type": ["string", "null"],
                  "pattern": "^[a-z0-9._-]{1,64}(/[a-z0-9._-]{1,64})?$",
                  "description": "ORGANISATION or ORGANISATION/TEAM; of a new key: default"},
                "scopes": {"type": ["array", "null"], "minItems": 1,
                  "items": {"$ref": "#/components/schemas/Scope"},
                  "description": "Of a new key: chat, embeddings, plans"},
                "permissions": {"type": ["object", "null"], "additionalProperties": false,
                  "properties": {
                    "models": {"$ref": "#/components/schemas/Names"},
                    "patterns": {"type": ["array", "null"],
                      "items": {"enum": [\#(values(of: PatternName.self))]}},
                    "data_policies": {"type": ["array", "null"],
                      "items": {"enum": [\#(values(of: DataPolicy.self))]}},
                    "host_pools": {"$ref": "#/components/schemas/Names"}}},
                "limits": {"type": ["object", "null"], "additionalProperties": false,
                  "properties": {\#(limits(type: optionalInteger))}},
                "expires_at_ms": {"type": ["integer", "null"],
                  "description": "A time in the future; null: the key does not expire"}}}}}},
            "responses": {
              "201": {"$ref": "#/components/responses/NewKey"},
              "400": {"$ref": "#/components/responses/Error"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "413": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"},
              "503": {"$ref": "#/components/responses/Error"}
            }
          }
        },
        "/admin/v1/keys/{id}": {
          "parameters": [{"$ref": "#/components/parameters/KeyID"}],
          "get": {
            "summary": "One key",
            "responses": {
              "200": {"$ref": "#/components/responses/Key"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"}
            }
          },
          "patch": {
            "summary": "Change a key; absent members stay, also those of permissions and limits",
            "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
            "requestBody": {"required": false, "content": {"application/json": {"schema": {
              "type": "object", "additionalProperties": false,
              "properties": {
                "name": {"type": ["string", "null"], "minLength": 1,
                  "maxLength": \#(Limits.accessNameBytes.value),
                  "description": "At most \#(Limits.accessNameBytes.value) bytes, without control characters"},
                "account": {"type": ["string", "null"],
                  "pattern": "^[a-z0-9._-]{1,64}(/[a-z0-9._-]{1,64})?$",
                  "description": "ORGANISATION or ORGANISATION/TEAM; of a new key: default"},
                "scopes": {"type": ["array", "null"], "minItems": 1,
                  "items": {"$ref": "#/components/schemas/Scope"},
                  "description": "Of a new key: chat, embeddings, plans"},
                "permissions": {"type": ["object", "null"], "additionalProperties": false,
                  "properties": {
                    "models": {"$ref": "#/components/schemas/Names"},
                    "patterns": {"type": ["array", "null"],
                      "items": {"enum": [\#(values(of: PatternName.self))]}},
                    "data_policies": {"type": ["array", "null"],
                      "items": {"enum": [\#(values(of: DataPolicy.self))]}},
                    "host_pools": {"$ref": "#/components/schemas/Names"}}},
                "limits": {"type": ["object", "null"], "additionalProperties": false,
                  "properties": {\#(limits(type: optionalInteger))}},
                "expires_at_ms": {"type": ["integer", "null"],
                  "description": "A time in the future; null: the key does not expire"}}}}}},
            "responses": {
              "200": {"$ref": "#/components/responses/Key"},
              "400": {"$ref": "#/components/responses/Error"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "409": {"$ref": "#/components/responses/Error"},
              "412": {"$ref": "#/components/responses/Error"},
              "413": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"}
            }
          },
          "delete": {
            "summary": "Revoke a key, which is final; it stays listed",
            "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
            "responses": {
              "200": {"$ref": "#/components/responses/Key"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "412": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"}
            }
          }
        },
        "/admin/v1/keys/{id}/rotate": {
          "parameters": [
            {"$ref": "#/components/parameters/KeyID"}, {"$ref": "#/components/parameters/IfMatch"}],
          "post": {
            "summary": "Create a key with the same settings; the old one stays valid for a grace period",
            "requestBody": {"required": false, "content": {"application/json": {"schema": {
              "type": "object", "additionalProperties": false,
              "properties": {
                "grace_ms": {"type": ["integer", "null"], "minimum": 0,
                  "maximum": \#(Limits.accessGrace.value),
                  "default": \#(KeyRegistry.defaultGrace)}}}}}},
            "responses": {
              "201": {"$ref": "#/components/responses/NewKey"},
              "400": {"$ref": "#/components/responses/Error"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "409": {"$ref": "#/components/responses/Error"},
              "412": {"$ref": "#/components/responses/Error"},
              "413": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"},
              "503": {"$ref": "#/components/responses/Error"}
            }
          }
        },
        "/admin/v1/keys/{id}/disable": {
          "parameters": [
            {"$ref": "#/components/parameters/KeyID"}, {"$ref": "#/components/parameters/IfMatch"}],
          "post": {
            "summary": "Refuse the key until it is enabled",
            "responses": {
              "200": {"$ref": "#/components/responses/Key"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "409": {"$ref": "#/components/responses/Error"},
              "412": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"}
            }
          }
        },
        "/admin/v1/keys/{id}/enable": {
          "parameters": [
            {"$ref": "#/components/parameters/KeyID"}, {"$ref": "#/components/parameters/IfMatch"}],
          "post": {
            "summary": "End the suspension of a key",
            "responses": {
              "200": {"$ref": "#/components/responses/Key"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "409": {"$ref": "#/components/responses/Error"},
              "412": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"}
            }
          }
        },
        "/admin/v1/audit": {
          "get": {
            "summary": "Changes by admins, the latest first",
            "parameters": [
              {"name": "kind", "in": "query",
               "description": "key, organisation, team, setting, model or price",
               "schema": {"type": "string"}},
              {"name": "id", "in": "query", "description": "Id of the changed record",
               "schema": {"type": "string"}},
              {"name": "limit", "in": "query",
               "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
              {"name": "before", "in": "query", "description": "Last position of the previous page",
               "schema": {"type": "integer", "minimum": 1}}
            ],
            "responses": {
              "200": {"description": "A page", "content": {"application/json": {"schema": {
                "type": "object", "required": ["object", "data", "has_more"],
                "properties": {
                  "object": {"const": "list"},
                  "data": {"type": "array", "items": {"$ref": "#/components/schemas/AuditRecord"}},
                  "has_more": {"type": "boolean"}}}}}},
              "400": {"$ref": "#/components/responses/Error"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"}
            }
          }
        },
  """#

let keyParameters = #"""
          "KeyID": {"name": "id", "in": "path", "required": true,
            "description": "With or without tutti- in front",
            "schema": {"type": "string", "pattern": "^(tutti-)?[a-z2-7]{12}$"}},
          "IfMatch": {"name": "If-Match", "in": "header",
            "description": "ETag of the record that is to be changed; 412 if it has another one",
            "schema": {"type": "string"}},
  """#

let keyResponses = #"""
          "Key": {"description": "The key, without its secret",
            "headers": {"ETag": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Key"}}}},
          "NewKey": {"description": "The new key",
            "headers": {"ETag": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"allOf": [
              {"$ref": "#/components/schemas/Key"},
              {"type": "object", "required": ["key"], "properties": {"key": {"type": "string",
                "pattern": "^tutti-[a-z2-7]{12}-[A-Za-z0-9_-]{43}$",
                "description": "The whole key. It is shown only here"}}}]}}}},
  """#

let keySchemas = #"""
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
                "properties": {\#(limits(type: integer))}},
              "state": {"enum": [\#(values(of: KeyState.self))]},
              "expires_at_ms": {"type": ["integer", "null"]},
              "replaces": {"type": ["string", "null"],
                "description": "Id of the older key that this one replaces"},
              "grace_until_ms": {"type": ["integer", "null"],
                "description": "A newer key replaced this one, which is valid before this time"}}
          },
          "AuditRecord": {
            "type": "object",
            "required": ["object", "position", "time_ms", "author", "kind", "id", "before", "after"],
            "properties": {
              "object": {"const": "audit"},
              "position": {"type": "integer"},
              "time_ms": {"type": "integer"},
              "author": {"type": "string", "description": "admin-token, or key tutti-ID"},
              "kind": {"type": "string"},
              "id": {"type": "string"},
              "before": {"type": ["object", "string", "null"],
                "description": "The record, a string for some settings. null: it was absent"},
              "after": {"type": ["object", "string", "null"],
                "description": "The record, a string for some settings. null: it was removed"}}
          },
  """#
