import ClusterModel

/// The raw values of an enumeration as elements of a JSON array.
func values<Choice: CaseIterable & RawRepresentable<String>>(of _: Choice.Type) -> String {
  Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
}

/// The admin API's description, served unchanged.
let adminOpenAPI = #"""
  {
    "openapi": "3.1.0",
    "info": {
      "title": "Tutti registry admin API",
      "version": "1",
      "description": "Hosts that answer requests, keys of clients, and processes of the cluster. GET needs the admin token or a key with the scope admin:read or admin:write, other methods the token or admin:write."
    },
    "security": [{"bearer": []}],
    "paths": {
      "/admin/v1/hosts": {
        "get": {
          "summary": "List hosts by id",
          "parameters": [
            {"name": "limit", "in": "query",
             "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
            {"name": "after", "in": "query", "description": "Last id of the previous page",
             "schema": {"type": "string"}},
            \#(hostFilters)
          ],
          "responses": {
            "200": {"description": "A page", "content": {"application/json": {"schema": {
              "type": "object", "required": ["object", "data", "has_more"],
              "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {"$ref": "#/components/schemas/Host"}},
                "has_more": {"type": "boolean"}}}}}},
            "400": {"$ref": "#/components/responses/Error"},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"}
          }
        },
        "post": {
          "summary": "Add a host; it is probed at once",
          "parameters": [{"$ref": "#/components/parameters/WaitMs"}],
          "requestBody": {"required": true, "content": {"application/json": {"schema": {
            "type": "object", "required": ["url"], "additionalProperties": false,
            "properties": {
              "url": {"type": "string",
                "description": "http(s)://HOST[:PORT][/PATH], with or without /v1; the registry finds the path of the API"},
              "id": {"type": "string", "pattern": "^[A-Za-z0-9.:_-]{1,128}$",
                "description": "Default: made from the URL's host and port"},
              "dialect": {"$ref": "#/components/schemas/Dialect"},
              "resume": {"$ref": "#/components/schemas/Resume"},
              "credential": {"$ref": "#/components/schemas/Credential"},
              "allow_plain_http": {"type": ["boolean", "null"], "default": false,
                "description": "The credential may be sent to another machine without encryption"},
              "tier": {"$ref": "#/components/schemas/Tier"},
              "trust": {"$ref": "#/components/schemas/Trust"},
              "slots": {"type": ["integer", "null"], "minimum": 1, "maximum": 65536},
              "models": {"$ref": "#/components/schemas/Models"},
              "tags": {"$ref": "#/components/schemas/Tags"},
              "region": {"$ref": "#/components/schemas/Region"},
              "price_per_million": {"type": ["integer", "null"], "minimum": 0,
                "maximum": 1000000000}}}}}},
          "responses": {
            "201": {"$ref": "#/components/responses/Host"},
            "400": {"$ref": "#/components/responses/Error"},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"},
            "409": {"$ref": "#/components/responses/Error"},
            "413": {"$ref": "#/components/responses/Error"},
            "503": {"$ref": "#/components/responses/Error"}
          }
        }
      },
      "/admin/v1/hosts/{id}": {
        "parameters": [{"$ref": "#/components/parameters/HostID"}],
        "get": {
          "summary": "One host",
          "responses": {
            "200": {"$ref": "#/components/responses/Host"},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"},
            "404": {"$ref": "#/components/responses/Error"}
          }
        },
        "patch": {
          "summary": "Change the settings of a host",
          "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
          "requestBody": {"required": true, "content": {"application/json": {"schema": {
            "type": "object", "additionalProperties": false,
            "properties": {
              "dialect": {"$ref": "#/components/schemas/Dialect"},
              "resume": {"$ref": "#/components/schemas/Resume"},
              "credential": {"$ref": "#/components/schemas/Credential"},
              "allow_plain_http": {"type": ["boolean", "null"], "default": false,
                "description": "The credential may be sent to another machine without encryption"},
              "tier": {"$ref": "#/components/schemas/Tier"},
              "trust": {"$ref": "#/components/schemas/Trust"},
              "slots": {"type": ["integer", "null"], "minimum": 1, "maximum": 65536},
              "models": {"$ref": "#/components/schemas/Models"},
              "tags": {"$ref": "#/components/schemas/Tags"},
              "region": {"$ref": "#/components/schemas/Region"},
              "price_per_million": {"type": ["integer", "null"], "minimum": 0,
                "maximum": 1000000000}}}}}},
          "responses": {
            "200": {"$ref": "#/components/responses/Host"},
            "400": {"$ref": "#/components/responses/Error"},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"},
            "413": {"$ref": "#/components/responses/Error"},
            "404": {"$ref": "#/components/responses/Error"},
            "412": {"$ref": "#/components/responses/Error"}
          }
        },
        "delete": {
          "summary": "Remove a host",
          "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
          "responses": {
            "200": {"description": "Removed", "content": {"application/json": {"schema": {
              "type": "object", "required": ["object", "id", "deleted"],
              "properties": {"object": {"const": "host"}, "id": {"type": "string"},
                "deleted": {"const": true}}}}}},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"},
            "404": {"$ref": "#/components/responses/Error"},
            "412": {"$ref": "#/components/responses/Error"}
          }
        }
      },
  \#(hostDrainPath)
      "/admin/v1/hosts/{id}/suspend": {
        "parameters": [{"$ref": "#/components/parameters/HostID"},
          {"$ref": "#/components/parameters/IfMatch"}],
        "post": {
          "summary": "Suspend the host: it gets no more requests",
          "responses": {
            "200": {"$ref": "#/components/responses/Host"},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"},
            "404": {"$ref": "#/components/responses/Error"},
            "412": {"$ref": "#/components/responses/Error"}
          }
        }
      },
      "/admin/v1/hosts/{id}/resume": {
        "parameters": [
          {"$ref": "#/components/parameters/HostID"}, {"$ref": "#/components/parameters/WaitMs"},
          {"$ref": "#/components/parameters/IfMatch"}],
        "post": {
          "summary": "Put the host back into service; it is probed at once",
          "responses": {
            "200": {"$ref": "#/components/responses/Host"},
            "400": {"$ref": "#/components/responses/Error"},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"},
            "404": {"$ref": "#/components/responses/Error"},
            "412": {"$ref": "#/components/responses/Error"}
          }
        }
      },
      "/admin/v1/hosts/{id}/probe": {
        "parameters": [
          {"$ref": "#/components/parameters/HostID"}, {"$ref": "#/components/parameters/WaitMs"},
          {"$ref": "#/components/parameters/IfMatch"}],
        "post": {
          "summary": "Probe the host now instead of at its next scheduled probe",
          "responses": {
            "200": {"$ref": "#/components/responses/Host"},
            "400": {"$ref": "#/components/responses/Error"},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"},
            "404": {"$ref": "#/components/responses/Error"},
            "412": {"$ref": "#/components/responses/Error"}
          }
        }
      },
  \#(keyPaths)
  \#(modelPaths)
      "/admin/v1/services": {
        "get": {
          "summary": "The processes on the bus, by name",
          "responses": {
            "200": {"description": "All processes", "content": {"application/json": {"schema": {
              "type": "object", "required": ["object", "data", "has_more"],
              "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": {"$ref": "#/components/schemas/Peer"}},
                "has_more": {"const": false}}}}}},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"}
          }
        }
      },
  \#(accountPaths)
      "/admin/v1/proof": {
        "get": {
          "summary": "Proof that this registry knows the admin token, before it is sent here",
          "security": [],
          "parameters": [{"name": "nonce", "in": "query", "required": true,
            "description": "Random; never used twice",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}],
          "responses": {
            "200": {"description": "HMAC-SHA256 with the admin token as key over \"tutti-registry-proof:\" and the nonce's digits",
              "content": {"application/json": {"schema": {
                "type": "object", "required": ["object", "proof"],
                "properties": {"object": {"const": "proof"},
                  "proof": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}}}}},
            "400": {"$ref": "#/components/responses/Error"}
          }
        }
      },
      "/admin/v1/openapi.json": {
        "get": {
          "summary": "This document",
          "responses": {
            "200": {"description": "OpenAPI 3.1",
              "content": {"application/json": {"schema": {"type": "object"}}}},
            "401": {"$ref": "#/components/responses/Error"},
            "403": {"$ref": "#/components/responses/Error"},
            "429": {"$ref": "#/components/responses/Error"}
          }
        }
      }
    },
    "components": {
      "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer",
        "description": "TUTTI_ADMIN_TOKEN, the contents of DATA_DIR/admin-token, or a key"}},
      "parameters": {
        "HostID": {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
  \#(keyParameters)
  \#(modelParameters)
        "WaitMs": {"name": "wait_ms", "in": "query",
          "description": "How long to wait for the host's next probe before answering",
          "schema": {"type": "integer", "minimum": 0, "maximum": 30000, "default": 0}}
      },
      "responses": {
        "Host": {"description": "The current state of the host",
          "headers": {"ETag": {"schema": {"type": "string"},
            "description": "Changes with the settings and with suspension, not with probes or load"}},
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Host"}}}},
  \#(keyResponses)
  \#(modelResponses)
        "Error": {"description": "What is wrong and what to do", "content": {"application/json": {
          "schema": {"$ref": "#/components/schemas/Error"}}}}
      },
      "schemas": {
        "Dialect": {"type": ["string", "null"],
          "enum": ["auto", \#(values(of: HostDialect.self)), null], "default": "auto",
          "description": "API that the host speaks; auto: detected from its answers"},
        "Resume": {"type": ["string", "null"],
          "enum": ["auto", \#(values(of: ResumeWay.self)), null],
          "default": "auto",
          "description": "How the host resumes an answer that another host began; auto: detected"},
        "Credential": {"type": ["string", "null"], "maxLength": 1024,
          "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$",
          "description": "Where processes that send requests to the host find its secret; null means no secret. env: names begin with cluster.credentials_prefix, file: paths lie below cluster.credentials_dir"},
        "Models": {"type": ["array", "null"], "maxItems": 1000,
          "items": {"type": "string", "minLength": 1, "maxLength": 256},
          "description": "Models, if the host does not list them; null or empty: the host's list"},
  \#(hostSchemas)
        "Tier": {"type": ["string", "null"], "enum": [\#(values(of: HostTier.self)), null]},
        "Trust": {"type": ["string", "null"], "enum": [\#(values(of: DataPolicy.self)), null]},
        "Host": {
          "type": "object",
          "required": ["object", "id", "url", "dialect", "resume", "credential", "tier", "trust",
            "state", "reason", "models", "slots", "version", "probe_ms", "price_per_million",
            "load", "tags", "region"],
          "properties": {
            "object": {"const": "host"},
            "id": {"type": "string"},
            "url": {"type": "string"},
            "dialect": {"enum": [\#(values(of: HostDialect.self))]},
            "resume": {"enum": [\#(values(of: ResumeWay.self))]},
            "credential": {"type": ["string", "null"]},
            "tier": {"enum": [\#(values(of: HostTier.self))]},
            "trust": {"enum": [\#(values(of: DataPolicy.self))]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "region": {"type": ["string", "null"]},
            "state": {"enum": [\#(values(of: HostState.self))]},
            "reason": {"type": "string",
              "description": "Why it is not ready, or which models are left out; otherwise empty"},
            "models": {"type": "array", "items": {
              "type": "object", "required": ["id"],
              "properties": {"id": {"type": "string"}, "context_tokens": {"type": "integer"}}}},
            "slots": {"type": ["integer", "null"]},
            "version": {"type": ["string", "null"]},
            "probe_ms": {"type": ["integer", "null"]},
            "price_per_million": {"type": "integer"},
            "load": {
              "type": ["object", "null"],
              "description": "Traffic of all processes; null: no process has reported any yet",
              "required": ["in_flight", "error_rate", "open_breakers"],
              "properties": {
                "in_flight": {"type": "integer"},
                "first_token_p50_ms": {"type": "integer"},
                "first_token_p95_ms": {"type": "integer"},
                "tokens_per_second": {"type": "number"},
                "slowdown": {"type": "number", "description":
                  "Slowdown by concurrent answers: 0 none, 1 as if they were made one by one"},
                "error_rate": {"type": "number",
                  "description": "Share of failed requests, 0 to 1; recent ones weigh more"},
                "open_breakers": {"type": "integer",
                  "description": "Processes whose circuit breaker for the host is open"}}}}
        },
  \#(keySchemas)
  \#(modelSchemas)
  \#(accountSchemas)
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
        "Error": {
          "type": "object", "required": ["error"],
          "properties": {"error": {
            "type": "object", "required": ["message", "type", "param", "code"],
            "properties": {
              "message": {"type": "string"}, "type": {"type": "string"},
              "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}}
        }
      }
    }
  }

  """#
