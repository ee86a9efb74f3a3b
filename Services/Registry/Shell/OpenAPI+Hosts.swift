import ClusterModel
import Limits

// Host pools and draining in the description of the admin API.

let hostFilters = #"""
  {"name": "state", "in": "query", "schema": {"enum": [\#(values(of: HostState.self))]}},
              {"name": "tag", "in": "query", "description": "A tag of the host",
               "schema": {"type": "string"}},
              {"name": "model", "in": "query", "description": "A model that the host offers",
               "schema": {"type": "string"}}
  """#

let hostDrainPath = #"""
      "/admin/v1/hosts/{id}/drain": {
        "parameters": [
          {"$ref": "#/components/parameters/HostID"},
          {"name": "wait_ms", "in": "query",
            "description": "How long to wait until no request is in flight before answering",
            "schema": {"type": "integer", "minimum": 0, "maximum": 30000, "default": 0}},
          {"$ref": "#/components/parameters/IfMatch"}],
        "post": {
          "summary": "Suspend the host and let its running requests finish; load.in_flight counts them",
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
  """#

let hostSchemas = #"""
        "Tags": {"type": ["array", "null"], "maxItems": \#(Limits.hostTags.value),
          "items": {"type": "string", "minLength": 1, "maxLength": \#(Limits.tagBytes.value),
            "pattern": "^[a-z0-9._-]+$"},
          "description": "Host pools that the host belongs to; null or empty: none"},
        "Region": {"type": ["string", "null"], "minLength": 1,
          "maxLength": \#(Limits.tagBytes.value), "pattern": "^[a-z0-9._-]+$",
          "description": "Where the host is; null: not named"},
  """#
