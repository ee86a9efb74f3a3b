"""Habits: refusals, errors, slow answers, and lists of models."""

from habit import habit
from scripted_host import error, honest, whole


# MARK: - Refusals

@habit("K4")
def no_stream(request):
    """Refuses `stream: true`."""
    if request.stream:
        return error(400, "stream is not supported by this deployment", "invalid_request_error",
                     "unsupported_value", "stream")
    return honest(request)


@habit("K4")
def no_stream_options(request):
    """Refuses `stream_options`."""
    if "stream_options" in request.json:
        return error(400, "Unrecognized request argument supplied: stream_options",
                     "invalid_request_error", None, "stream_options")
    return honest(request)


@habit("K4")
def only_known_members(request):
    """Refuses with 422 every member that is newer than the OpenAI API of 2023."""
    known = {"model", "messages", "prompt", "temperature", "top_p", "n", "stream", "stop",
             "max_tokens", "tools", "tool_choice", "response_format", "logprobs", "echo", "seed",
             "parallel_tool_calls"}
    odd = sorted(set(request.json) - known)
    if odd:
        return whole({"detail": [{"type": "extra_forbidden", "loc": ["body", odd[0]],
                                  "msg": "Extra inputs are not permitted"}]}, 422)
    return honest(request)


FAMILY_CALLS = ("ensemble", "debate", "maestro", "decompose")


@habit("K5", calls=FAMILY_CALLS)
def family_reasoning(request):
    """Accepts only temperature 1 and `max_completion_tokens`, as o-series models do."""
    if "max_tokens" in request.json:
        return error(400, "Unsupported parameter: 'max_tokens' is not supported with this model. "
                     "Use 'max_completion_tokens' instead.", "invalid_request_error",
                     "unsupported_parameter", "max_tokens")
    for name in ("temperature", "top_p"):
        if request.json.get(name, 1) != 1:
            return error(400, f"Unsupported value: '{name}' does not support "
                         f"{request.json[name]} with this model. Only the default (1) value is "
                         "supported.", "invalid_request_error", "unsupported_value", name)
    return honest(request)


@habit("K5", calls=FAMILY_CALLS)
def family_one_sampler(request):
    """Accepts temperature or top_p, not both, and no seed."""
    if "temperature" in request.json and "top_p" in request.json:
        return error(400, "`temperature` and `top_p` cannot both be specified for this model. "
                     "Please use only one.", "invalid_request_error")
    if "seed" in request.json:
        return error(400, "Unknown field: seed", "invalid_request_error", None, "seed")
    return honest(request)


@habit("K5", calls=FAMILY_CALLS)
def family_no_system(request):
    """Refuses system messages."""
    if any(m.get("role") in ("system", "developer") for m in request.messages):
        return error(400, "System role not supported", "BadRequestError", 400)
    return honest(request)


@habit("K5", calls=FAMILY_CALLS)
def family_strict_turns(request):
    """Requires alternating user and assistant messages and at most 1,024 tokens."""
    roles = [m.get("role") for m in request.messages if m.get("role") != "system"]
    if any(a == b for a, b in zip(roles, roles[1:])):
        return error(400, "Conversation roles must alternate user/assistant/user/assistant/...",
                     "BadRequestError", 400)
    if (request.json.get("max_tokens") or 0) > 1024:
        return error(400, "max_tokens must be less than or equal to 1024",
                     "invalid_request_error", None, "max_tokens")
    return honest(request)


@habit("K5", calls=FAMILY_CALLS)
def family_strict_schema(request):
    """Accepts only JSON schemas with `strict` and `additionalProperties: false`."""
    form = request.json.get("response_format") or {}
    schema = form.get("json_schema") or {}
    if form.get("type") == "json_schema" and not (
            schema.get("strict") and schema.get("schema", {}).get("additionalProperties") is False):
        return error(400, "Invalid schema for response_format: 'additionalProperties' is required "
                     "to be supplied and to be false.", "invalid_request_error", None,
                     "response_format")
    if form.get("type") == "json_object":
        return error(400, "'response_format.type' must be 'json_schema' or 'text'",
                     "invalid_request_error", None, "response_format")
    return honest(request)


# MARK: - Errors

@habit("K21", calls=("photo", "no_limit"))
def large_requests(request):
    """Accepts requests of any size, and reads -1 as no token limit."""
    return honest(request)


def short_context_list(listing):
    return whole({"object": "list", "data": [e | {"max_model_len": 2048} for e in listing["data"]]})


@habit("K27", calls=("chat", "dense_prompt"), listing=short_context_list)
def short_context(request):
    """Lists a context of 2,048 tokens, and counts tokens itself."""
    return honest(request)


@habit("K15")
def rate_limited(request):
    """429 with Retry-After."""
    return error(429, "Rate limit reached for requests per minute.", "requests",
                 "rate_limit_exceeded", None, {"retry-after": "1", "retry-after-ms": "700"})


@habit("K15")
def out_of_quota(request):
    """429 with `insufficient_quota`: not to be retried."""
    return error(429, "You exceeded your current quota.", "insufficient_quota",
                 "insufficient_quota")


@habit("K15")
def unauthorized(request):
    """401."""
    return error(401, "Incorrect API key provided: none.", "invalid_request_error",
                 "invalid_api_key")


@habit("K15")
def forbidden(request):
    """403."""
    return error(403, "Your organization must be verified to use this model.",
                 "permission_error", "unsupported_country_region_territory")


@habit("K15")
def not_found(request):
    """404 for a model that the host lists."""
    return error(404, "The model has been unloaded.", "invalid_request_error", "model_not_found",
                 "model")


@habit("K27")
def context_too_long(request):
    """400 with `context_length_exceeded`."""
    return error(400, "This model's maximum context length is 8 tokens.", "invalid_request_error",
                 "context_length_exceeded", "messages")


@habit("K27")
def context_llama(request):
    """400 with llama.cpp's `exceed_context_size_error`."""
    return whole({"error": {"code": 400, "message": "the request exceeds the available context "
                            "size, try increasing it", "type": "exceed_context_size_error",
                            "n_prompt_tokens": 9000, "n_ctx": 8192}}, 400)


@habit("K15")
def unprocessable(request):
    """422 with FastAPI's `detail`."""
    return whole({"detail": [{"loc": ["body", "messages", 0], "msg": "field required",
                              "type": "value_error.missing"}]}, 422)


@habit("K33")
def server_error(request):
    """500 with type and code."""
    return error(500, "The model produced invalid output.", "server_error", "model_error", "model")


@habit("K33")
def not_implemented(request):
    """501, as llama.cpp answers for a feature that it was not started with."""
    return error(501, "This server does not support this. Start it with `--embeddings`",
                 "not_supported_error", 501)


@habit("K23")
def html_error(request):
    """502 with the HTML page of a proxy."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Upstream is restarting</h1>"
    return whole(page + b"</body></html>", 502, {"content-type": "text/html"})


@habit("K23", improves="error")
def error_in_200(request):
    """200 with an error object as its body."""
    return whole({"error": {"message": "The model is being loaded.", "type": "server_error",
                            "param": None, "code": "loading"}})


# MARK: - Slow answers

def is_slow_call(request):
    return "quick" not in request.content_text()


@habit("K26", is_slow=True, calls=("chat", "stream"))
def slow_first_token(request):
    """Answers ten questions at once, and later ones after 12 s."""
    response = honest(request)
    response.delay = 12.0 if is_slow_call(request) else 0.0
    return response


@habit("K26", is_slow=True, calls=("chat", "stream"))
def slow_after_head(request):
    """Answers ten questions at once; later ones get the head at once and the rest after 12 s."""
    response = honest(request)
    if is_slow_call(request):
        response.parts = [12.0, *response.parts]
    return response


@habit("K26", is_slow=True, calls=("chat", "stream"))
def long_pause(request):
    """Answers ten questions at once, and pauses for 7 s in the middle of later answers."""
    response = honest(request)
    if is_slow_call(request) and request.stream:
        half = len(response.parts) // 2
        response.parts = response.parts[:half] + [7.0] + response.parts[half:]
    elif is_slow_call(request):
        response.parts = [7.0] + response.parts
    return response


# MARK: - Lists of models

@habit("K19", calls=("chat", "stream"), listing=lambda listing: whole(listing["data"]))
def list_bare(request):
    """Lists its models as a bare array, as Together does."""
    return honest(request)


@habit("K19", calls=("chat", "stream"),
       listing=lambda listing: whole({"models": listing["data"]}))
def list_envelope(request):
    """Lists its models below `models`."""
    return honest(request)


@habit("K19", calls=("chat", "stream"),
       listing=lambda listing: whole(listing | {"data": [None, {"name": "no id"}, 7,
                                                         *listing["data"]]}))
def list_odd_entries(request):
    """Lists entries that are not models next to a model."""
    return honest(request)


@habit("K14", calls=("chat", "stream"), listing=lambda listing: whole(listing).gzipped())
def list_gzipped(request):
    """Compresses its list of models."""
    return honest(request)


@habit("K19", calls=("chat", "stream"), base="/v1beta/openai")
def base_path(request):
    """Answers below `/v1beta/openai`, as Gemini does."""
    return honest(request)


@habit("K19", calls=("chat", "stream"), is_named=True,
       listing=lambda listing: error(404, "no such path", "invalid_request_error"))
def list_missing(request):
    """Lists no models; the admin names them."""
    return honest(request)
