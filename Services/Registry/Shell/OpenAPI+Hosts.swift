import ClusterModel
import Limits
import Money
import RegistryCore

extension AdminDocument {
  private static let hostTag =
    "Changes with the settings and with suspension, not with probes or load"
  private static let host = answer("Host", tag: hostTag, "The current state of the host")

  /// A route without a body that changes one host.
  private static func action(_ name: String, _ summary: String, _ parameters: String...) -> String {
    let parameters = ([parameter("HostID"), parameter("IfMatch")] + parameters)
      .joined(separator: ", ")
    return #"""
      "/admin/v1/hosts/{id}/\#(name)": {
        "parameters": [\#(parameters)],
        "post": {
          "summary": "\#(summary)",
          \#(responses(host, 404, 412))
        }
      },
      """#
  }

  static let hostPaths = #"""
    "/admin/v1/hosts": {
      "get": {
        "summary": "List hosts by id",
        "parameters": [
          \#(pageLimit), \#(afterID),
          \#(query("state", #"{"enum": [\#(values(of: HostState.self))]}"#, "State of the host")),
          \#(query("tag", string, "A tag of the host")),
          \#(query("model", string, "A model that the host offers"))
        ],
        \#(responses(page(of: "Host")))
      },
      "post": {
        "summary": "Add a host; it is probed at once",
        "parameters": [\#(parameter("WaitMs"))],
        \#(body(
          "NewHost",
          example: #"{"url": "http://10.0.0.7:8000", "id": "gpu-1", "trust": "trusted", "#
            + #""tags": ["gpu"]}"#)),
        \#(responses(answer("Host", status: 201, tag: hostTag), 409))
      }
    },
    "/admin/v1/hosts/{id}": {
      "parameters": [\#(parameter("HostID"))],
      "get": {
        "summary": "One host",
        \#(responses(host, 404))
      },
      "patch": {
        "summary": "Change the settings of a host; absent members stay",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body("HostChange", example: #"{"tags": ["gpu", "eu"], "region": "fra-1"}"#)),
        \#(responses(host, 404, 412))
      },
      "delete": {
        "summary": "Remove a host",
        "parameters": [\#(parameter("IfMatch"))],
        \#(responses(removal(of: "host"), 404, 412))
      }
    },
    \#(action(
      "drain",
      "Suspend the host and let its running requests finish; load.in_flight counts them",
      parameter("DrainWaitMs")))
    \#(action("suspend", "Suspend the host: it gets no more requests"))
    \#(action(
      "resume", "Put the host back into service; it is probed at once", parameter("WaitMs")))
    \#(action(
      "probe", "Probe the host now instead of at its next scheduled probe", parameter("WaitMs")))
    """#

  private static let waits =
    #"{"type": "integer", "minimum": \#(AdminAPI.waits.lowerBound), "#
    + #""maximum": \#(AdminAPI.waits.upperBound), "default": 0}"#

  static let hostParameters = #"""
    "HostID": {"name": "id", "in": "path", "required": true, "schema": \#(hostID),
      "example": "gpu-1"},
    "WaitMs": \#(query(
      "wait_ms", waits, "How long to wait for the host's next probe before the answer")),
    "DrainWaitMs": \#(query(
      "wait_ms", waits, "How long to wait until no request is in flight before the answer")),
    """#

  private static let hostID =
    #"{"type": "string", "pattern": "^(?![.]{1,2}$)[A-Za-z0-9.:_-]{1,128}$"}"#

  /// Settings that both a new host and a change of a host may have.
  private static let hostMembers = #"""
    "dialect": {"$ref": "#/components/schemas/Dialect"},
          "resume": {"$ref": "#/components/schemas/Resume"},
          "credential": {"$ref": "#/components/schemas/Credential"},
          "allow_plain_http": {"type": ["boolean", "null"], "default": false,
            "description": "The credential may be sent to another machine without encryption"},
          "tier": {"$ref": "#/components/schemas/Tier"},
          "trust": {"$ref": "#/components/schemas/Trust"},
          "slots": {"type": ["integer", "null"], "minimum": 1, "maximum": 65536,
            "description": "Requests at once; null: as the host reports"},
          "models": {"$ref": "#/components/schemas/Models"},
          "tags": {"$ref": "#/components/schemas/Tags"},
          "region": {"$ref": "#/components/schemas/Region"},
          "price_input": {"$ref": "#/components/schemas/HostPrice"},
          "price_output": {"$ref": "#/components/schemas/HostPrice"}
    """#

  private static let tag =
    #""minLength": 1, "maxLength": \#(Limits.tagBytes.value), "pattern": "^[a-z0-9._-]+$""#

  static let hostSchemas = #"""
    "NewHost": {"type": "object", "required": ["url"], "additionalProperties": false,
      "properties": {
        "url": {"type": "string", "maxLength": \#(HostAddress.maximumBytes),
          "description": "http(s)://HOST[:PORT][/PATH], with or without /v1; the registry finds the path of the API"},
        "id": {"type": ["string", "null"],
          "pattern": "^(?![.]{1,2}$)[A-Za-z0-9.:_-]{1,128}$",
          "description": "Default: made from the URL's host and port"},
        \#(hostMembers)}},
    "HostChange": {"type": "object", "additionalProperties": false,
      "properties": {
        \#(hostMembers)}},
    "Dialect": {"type": ["string", "null"],
      "enum": ["auto", \#(values(of: HostDialect.self)), null], "default": "auto",
      "description": "API that the host speaks; auto: detected from its answers"},
    "Resume": {"type": ["string", "null"],
      "enum": ["auto", \#(values(of: ResumeWay.self)), null], "default": "auto",
      "description": "How the host resumes an answer that another host began; auto: detected"},
    "Credential": {"type": ["string", "null"], "maxLength": \#(CredentialReference.maximumBytes),
      "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$",
      "description": "Where processes that send requests to the host find its secret; null means no secret. env: names begin with cluster.credentials_prefix, file: paths lie below cluster.credentials_dir"},
    "Models": {"type": ["array", "null"], "maxItems": \#(Limits.hostModels.value),
      "items": {"type": "string", "minLength": 1, "maxLength": \#(Limits.modelNameBytes.value)},
      "description": "Models, if the host does not list them; null or empty: the host's list"},
    "Tags": {"type": ["array", "null"], "maxItems": \#(Limits.hostTags.value),
      "items": {"type": "string", \#(tag)},
      "description": "Host pools that the host belongs to; null or empty: none"},
    "Region": {"type": ["string", "null"], \#(tag),
      "description": "Where the host is; null: not named"},
    "HostPrice": {"type": ["string", "null"], "pattern": "^[0-9]+([.][0-9]{1,6})?$",
      "maxLength": \#(Limits.amountBytes.value),
      "description": "Credits per million tokens of the prompt (input) or the answer (output), at most \#(MicroCredits(HostPrice.highest).credits). Both are stated, or none (null); a host without a stated price is free if it has no credential"},
    "Tier": {"type": ["string", "null"], "enum": [\#(values(of: HostTier.self)), null]},
    "Trust": {"type": ["string", "null"], "enum": [\#(values(of: DataPolicy.self)), null]},
    "Host": {
      "type": "object",
      "required": ["object", "id", "url", "dialect", "resume", "credential", "tier", "trust",
        "state", "reason", "models", "slots", "version", "probe_ms", "next_probe_ms",
        "price_input", "price_output", "load", "tags", "region", "configured"],
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
          "properties": {"id": {"type": "string"}, "context_tokens": {"type": "integer"},
            "alias_of": {"type": "string",
              "description": "The host's own model; absent if the id is no alias"}}}},
        "slots": {"type": ["integer", "null"]},
        "version": {"type": ["string", "null"]},
        "probe_ms": {"type": ["integer", "null"]},
        "next_probe_ms": {"type": ["integer", "null"],
          "description": "Time until the next probe; null: a probe is under way, or the host is suspended"},
        "price_input": {"type": ["string", "null"]},
        "price_output": {"type": ["string", "null"]},
        "configured": {
          "type": "object",
          "description": "What an admin has set. null, or no models: the host's own report applies",
          "required": ["dialect", "resume", "slots", "models"],
          "properties": {
            "dialect": {"enum": [\#(values(of: HostDialect.self)), null]},
            "resume": {"enum": [\#(values(of: ResumeWay.self)), null]},
            "slots": {"type": ["integer", "null"]},
            "models": {"type": "array", "items": {"type": "string"}}}},
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
    """#
}
