"""Golden frames: messages of the bus, encoded by an independent protobuf implementation.

    golden.py PROTO_DIR write OUT_DIR    writes NAME.bin for every sample
    golden.py PROTO_DIR check IN_DIR     reads NAME.bin of every sample and compares

Needs the `protobuf` package and `protoc` (both come with `make setup`).
"""
import pathlib
import subprocess
import sys
import tempfile

TEXT = r'"a\000b é 漢 🎻\n"'
TRACE = '"00000000000000010000000000000002"'

SECRET = "".join(rf"\{byte:03o}" for byte in range(32))

PEER = r'''
name: "planner-1" incarnation: 12 service: "planner" mailbox: "ipc:///run/p"
version: "0.1.0" ttl_ms: 5000 key: "\000\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037"
'''

HOST = '''
id: "h1" url: "http://127.0.0.1:11434" dialect: "ollama" tier: "fallback" trust: "local"
resume: "trailing_assistant" credential: "env:KEY"
state: HOST_STATE_READY models { id: "m1" context_tokens: 8192 } models { id: "m2" }
slots: 2 version: "b1" probe_ms: 3
price { input: 150000 output: 1000000000000000 }
tags: "eu" tags: "gpu" region: "fra-1"
'''

PROPOSER = r'''
id: "p1" role: "research" merge: "none" on_failure: "degrade" model: "m1" max_tokens: 64
temperature_milli: 0 seed: 3 contract { kind: "json" schema: '{"type":"é\\n"}' } deadline_share: 40
profile: "extraction" data_policy: "trusted" documents: "d1" documents: "d2" expansion: "repair"
mark: "Reply:" document_part: 2 document_parts: 5 asking: "variation" stage: 2
'''

SINK = rf'''
id: "sink" role: "coordinator" instruction: {TEXT} inputs {{ from: "p1" name: "Answer 1" }}
merge: "synthesise" on_failure: "skip" quorum: 1 deadline_ms: 1500 temperature_milli: -1
reads_conversation: true
'''

PLAN = f'''
id: "plan-1" pattern: "tutti/ensemble" tasks {{ {PROPOSER} }} tasks {{ {SINK} }} sink: "sink"
seed: 5 deadline_ms: 60000 reason: "two questions" expansions: 2
estimate {{ decision: "split" direct {{ milliseconds: 9800 writing_milliseconds: 9000 tokens: 400 }}
  split {{ milliseconds: 4100 writing_milliseconds: 3600 tokens: 420 }} }}
'''

SKILL = '''
model: "m1" kind: "closed" drafted_milli: 20500 chosen_milli: 9000 agreed_milli: 3000
repaired_milli: 1000 rejected_milli: 2000
'''

GAIN = '''
pattern: "tutti/ensemble" model: "m1" kind: "json" choices_milli: 7250 gain_sum: -300
gain_squares: 90000 extra_tokens: 8589934592
'''

CHOICE = f'''
kind: "code" basis: "only draft" confidence_milli: 1 anchor: "p2" is_early: true
drafts {{ task: "p2" model: "m1" outcome: "chosen" support_milli: 2000 completion_tokens: 40 }}
drafts {{ task: "p3" model: "é" outcome: "rejected" reason: {TEXT} }}
'''

REQUEST = f'''
pattern: "tutti/ensemble" query: {TEXT} models: "m1" members: 3 rounds: 2 quorum: 2
seed: 18446744073709551615 max_tokens: 100 available: "m1" available: "m2"
budget_tokens: 1099511627776 data_policy: "trusted"
hosts {{ id: "h1" models: "m1" models: "m2" free_slots: 3 rate_milli: 12500 first_token_ms: 80
    slowdown_percent: 1 context_tokens: 0 context_tokens: 131072 }}
hosts {{ id: "h2" }} documents {{ name: "d1" size_bytes: 8589934592 }}
conversation_tokens: 17179869184 is_structured: true direct_percent: 90 split_percent: 180
has_tools: true has_embedder: true temperature_milli: 1 skills {{ {SKILL} }} gains {{ {GAIN} }}
'''

INPUTS = f'''
inputs {{ name: "Answer 1" text: {TEXT} weight_milli: 0 }}
inputs {{ name: "Answer 2" text: "b" weight_milli: 1000 }}
inputs {{ name: "Answer 3" text: "c" weight_milli: -1 }}
'''

DOCUMENTS = f'documents {{ name: "d1" text: {TEXT} }} documents {{ name: "d2" }}'

PLAIN = 'on_failure: "fail" temperature_milli: -1 reads_conversation: true'

SUB_PLAN = f'''
tasks {{ id: "s1" role: "code" merge: "none" contract {{ kind: "choice" words: "yes" words: "no é" }}
  profile: "factual" {PLAIN} }}
tasks {{ id: "s2" role: "critic" inputs {{ from: "s1" name: "a" }} merge: "summarise"
  contract {{ kind: "vector" }} profile: "creative" {PLAIN} }}
tasks {{ id: "s3" role: "reasoning" inputs {{ from: "s2" name: "a" }} merge: "concatenate"
  profile: "code" documents: "*" {PLAIN} }}
tasks {{ id: "s4" role: "creative" inputs {{ from: "s3" name: "a" }} merge: "replace"
  profile: "reasoning" {PLAIN} }}
tasks {{ id: "s5" role: "coordinator" inputs {{ from: "s4" name: "a" }} merge: "vote"
  contract {{ kind: "json" }} {PLAIN} }}
tasks {{ id: "s6" role: "coordinator" inputs {{ from: "s5" name: "a" }} merge: "agree" {PLAIN} }}
tasks {{ id: "s7" role: "coordinator" inputs {{ from: "s4" name: "a" weight_milli: 1 }}
  inputs {{ from: "s5" name: "b" use: "revision" weight_milli: 500 }}
  inputs {{ from: "s6" name: "c" use: "meanings" }} merge: "choose" asking: "client"
  kind: "documents" {PLAIN} }}
output: "s7"
'''

CONVERSATION = r'''
messages_json: '[{"role":"user","content":"é"}]' parameters { name: "stop" json: '["\\n"]' }
'''

REPORT = f'''
host: "h1" model: "m1"
usage {{ prompt_tokens: 10 completion_tokens: 20 estimated: true cached_tokens: 4 }}
first_token_ms: 30 total_ms: 400 finish_reason: "stop" output: {TEXT}
contract_met: true
inferences {{ model: "m1"
  usage {{ prompt_tokens: 6 completion_tokens: 20 estimated: true cached_tokens: 4 }}
  attempts {{ host: "h2" model: "é" tier: "community" tokens: 3 outcome: "beaten" }}
  attempts {{ host: "h3" model: "m1" tier: "community" tokens: 5 outcome: "failed" }}
  attempts {{ host: "h1" model: "m1" tier: "fallback" tokens: 5000000 outcome: "delivered" }} }}
inferences {{ model: "é" usage {{}} }}
'''

BEGAN = r'''
host: "h1" model: "m1" first_token_ms: 30
excerpts { document: "d1" size_bytes: 5000000000 read_bytes: 24000 }
excerpts { document: "é" size_bytes: 7 }
'''

LEASE_NAME = 'gateway: "gateway-1" incarnation: 12 number: 3'
LEASE = f"lease {{ {LEASE_NAME} }}"
LEASE_RETURN = f"{LEASE} returned: 5 withdrawn: 2 closes: true"
LEASE_SETTLEMENT = f'''
{LEASE} key: "abcdefghijkl" number: 4 request: 5 hold: 9223372036854775807 billed: 7
'''
RENEWAL = 'gateway: "gateway-1" incarnation: 12 number: 6 oldest: 2 confirmed: 3'
TOKEN_PRICE = "input: 150000 cached_input: 15000 output: 1000000000000000"
SETTLEMENT = f'''
lease {{ {LEASE_SETTLEMENT} }}
    trace: "00000000000000010000000000000002" model: "m1" admitted_at_ms: 1900000000000
    price {{ {TOKEN_PRICE} }} answers {{ usage {{ prompt: 8 cached: 3 completion: 9 }}
      attempts {{ host: "h1" model: "m1" usage {{ prompt: 8 cached: 3 completion: 12 }}
        contributed: 9 role: "winner" host_price {{ {TOKEN_PRICE} }} }}
      attempts {{ host: "h2" model: "m1" usage {{ prompt: 8 completion: 1 }} role: "loser" }} }}
    answers {{ usage {{}} price {{}} }}
'''

BODIES = {
    "failure": f'failure {{ code: "overloaded" message: {TEXT} retry_after_ms: 250 param: "tutti.rounds" }}',
    "ack": "ack {}",
    "fragment": r'fragment { index: 1 count: 2 data: "\000\001\377" }',
    "hello": f"hello {{ peer {{ {PEER} }} }}",
    "goodbye": 'goodbye { name: "planner-1" incarnation: 12 }',
    "peer_table": f'''peer_table {{ epoch: 9 revision: 4 peers {{ {PEER} }} peers {{
        name: "x" incarnation: 1 service: "later" mailbox: "tcp://10.0.0.1:7400" version: "9"
        ttl_ms: 1 }} }}''',
    "host_table_request": "host_table_request {}",
    "host_table": f"host_table {{ epoch: 9 revision: 5 hosts {{ {HOST} }} }}",
    "host_changes": f'''host_changes {{ epoch: 9 base_revision: 5 revision: 6 changed {{ {HOST} }}
        removed: "h0" removed: "h9" }}''',
    "load_report": '''load_report { sequence: 7 hosts {
        host: "h1" in_flight: 3 first_tokens { bucket: 40 count: 2 } first_tokens { bucket: 0 count: 1 }
        answered: 4 failed: 1 tokens: 900 flow_ms: 1500 trips: 1 is_open: true
        beside_milli: 1350000 beside_squared_milli: 2025000 flow_beside_ms: 2250 } hosts { host: "h2" } }''',
    "load_table": '''load_table { epoch: 9 revision: 5 hosts {
        host: "h1" in_flight: 30 first_token_p50_ms: 100 first_token_p95_ms: 400
        samples_milli: 2500 error_rate_milli: 125 tokens_per_second_milli: 20500 open_breakers: 2
        heard_ms: 1 slowdown_milli: 251 } hosts { host: "h2" } merged { name: "gateway" incarnation: 12 sequence: 7 } }''',
    "access_table_version": "access_table_version { epoch: 9 revision: 6 }",
    "access_page_request": "access_page_request { page: 3 }",
    "access_table_page": rf'''access_table_page {{ epoch: 9 revision: 6 page: 1 pages: 2
        pepper: "{SECRET}" records {{ id: "abcdefghijkl" name: "é" account: "acme/research"
        hash: "{SECRET}" scopes: "admin:read" scopes: "chat" models: "m1" models: "org/m2"
        patterns: "tutti/debate" data_policies: "local" host_pools: "gpu"
        limits {{ requests_per_minute: 60 requests_per_day: 1000 tokens_per_minute: 9000
          tokens_per_day: 5000000000 concurrent_requests: 4 }} state: "disabled"
        expires_at_ms: 1900000000000 replaces: "mnopqrstuvwx" grace_until_ms: 1800000000000 }}
        records {{ id: "mnopqrstuvwx" name: "old" account: "acme" hash: "{SECRET}"
        state: "active" }} }}''',
    "access_table_open": rf'''access_table_page {{ epoch: 9 revision: 1 pages: 1 is_open: true
        pepper: "{SECRET}" }}''',
    "plan_request": f"plan_request {{ {REQUEST} }}",
    "plan": f"plan {{ {PLAN} }}",
    "expand_request": f'''expand_request {{ plan {{ {PLAN} }} task: "p1" output: {TEXT} {INPUTS}
        request {{ {REQUEST} }} }}''',
    "sub_plan": f"sub_plan {{ {SUB_PLAN} }}",
    "sub_plan_empty": 'sub_plan { output: "p1" }',
    "run_plan": f'''run_plan {{ plan {{ {PLAN} }} conversation {{ {CONVERSATION} }}
        finished {{ task: "p1" report {{ {REPORT} }} }} data_policy: "local"
        terms {{ minimum_rate_milli: -1 }} request {{ {REQUEST} }} {DOCUMENTS} client: "key é"
        sink_prefix: {TEXT} skipped {{ task: "p2" reason: {TEXT}
        usage {{ prompt_tokens: 5 completion_tokens: 6 estimated: true }} }}
        host_pools: "eu" host_pools: "gpu" models: "m1" models: "m2" dispatch: 2 }}''',
    "run_plan_small": f'''run_plan {{ plan {{ id: "plan-2" pattern: "tutti/auto"
        tasks {{ id: "t" role: "reasoning" merge: "none" {PLAIN} }} sink: "t" deadline_ms: 1000 }}
        conversation {{ {CONVERSATION} }} data_policy: "any" terms {{ minimum_rate_milli: -1 }}
        dispatch: 1 }}''',
    "plan_event_started": '''plan_event { started {
        task: "p1" role: "critic" agent: "agent-critic-1" attempt: 2 } }''',
    "plan_event_first_token": f'''plan_event {{ first_token {{
        task: "p1" began {{ {BEGAN} }} }} }}''',
    "plan_event_ended": f'''plan_event {{ ended {{ task: "p1" role: "code" agent: "agent-code-1"
        status: TASK_STATUS_DEGRADED reason: "one input" report {{ {REPORT} }}
        text_of: "p2" choice {{ {CHOICE} }} }} }}''',
    "plan_event_failed": '''plan_event { ended {
        task: "p1" role: "creative" status: TASK_STATUS_FAILED } }''',
    "plan_event_expanded": f'''plan_event {{ expanded {{ task: "p1"
        sub_plan {{ {SUB_PLAN} }} }} }}''',
    "plan_event_delta": f"plan_event {{ delta {{ text: {TEXT} }} }}",
    "plan_event_finished": '''plan_event { finished { finish_reason: "length"
        usage { prompt_tokens: 1 completion_tokens: 2 } sink_usage {} } }''',
    "plan_costs": f'''plan_costs {{ trace_id: {TRACE} dispatch: 2
        tasks {{ task: "p1" report {{ {REPORT} }} }} }}''',
    "plan_costs_empty": f"plan_costs {{ trace_id: {TRACE} dispatch: 1 }}",
    "run_task": f'''run_task {{ plan_id: "plan-1" task {{ {SINK} }}
        conversation {{ {CONVERSATION} }} {INPUTS} is_sink: true {DOCUMENTS} prefix: {TEXT}
        data_policy: "any" avoid_hosts: "h2" avoid_hosts: "h3"
        terms {{ race: "hedged" first_token_ms: 700 inter_token_ms: 500
          minimum_rate_milli: 1500 }} host: "h1" spares_tokens: true is_part: true
        client: "0123456789abcdef" host_pools: "gpu" models: "org/m" }}''',
    "task_event_began": f"task_event {{ began {{ {BEGAN} }} }}",
    "task_event_delta": '''task_event { delta { delta_json: '{"tool_calls":[]}' } }''',
    "task_event_finished": f"task_event {{ finished {{ {REPORT} }} }}",
    "task_event_broken_contract": '''task_event { finished { host: "h1" model: "m1" usage {}
        first_token_ms: 1 total_ms: 2 finish_reason: "length" output: "{" } }''',
    "lease_ask": f'''lease_request {{ ask {{ {LEASE} key: "abcdefghijkl" number: 9 granted: 10
        returned: 1 held: 2 minimum: 3 worst: 4 want: 5 is_last_call: true }} }}''',
    "lease_give_back": f"lease_request {{ give_back {{ {LEASE_RETURN} }} }}",
    "lease_settle": f"lease_request {{ settle {{ {LEASE_SETTLEMENT} }} }}",
    "lease_renew": f"lease_request {{ renew {{ {RENEWAL} }} }}",
    "lease_granted": f'''lease_answer {{ granted {{ {LEASE} ask: 9 total: 20 is_rest: true ceiling {{
        id: "org/é" remaining: -4 has_reset: true resets_at_ms: 1900000000000 }} }} }}''',
    "lease_refused": f'''lease_answer {{ refused {{ {LEASE} ask: 9 reason: "ceiling" ceiling {{
        id: "key/é" remaining: -4 has_reset: true resets_at_ms: 1900000000000 }} }} }}''',
    "lease_waiting": f'''lease_answer {{ waiting {{ {LEASE} ask: 9 reason: "ceiling" ceiling {{
        id: "org/a" remaining: 1 }} }} }}''',
    "lease_refused_key": f'lease_answer {{ refused {{ {LEASE} ask: 9 reason: "key" }} }}',
    "lease_refused_invalid": f'lease_answer {{ refused {{ {LEASE} ask: 9 reason: "invalid" }} }}',
    "lease_waiting_leases": f'''lease_answer {{ waiting {{ {LEASE} ask: 9
        reason: "too_many_leases" }} }}''',
    "lease_recalled": f"lease_answer {{ recalled {{ {LEASE_NAME} }} }}",
    "lease_returned": f"lease_answer {{ returned {{ {LEASE_RETURN} }} }}",
    "lease_renewed": f"lease_answer {{ renewed {{ renewal {{ {RENEWAL} }} settled_through: 4 }} }}",
    "lease_settled": 'lease_answer { settled { gateway: "gateway-1" incarnation: 12 through: 4 } }',
    "lease_ended": 'lease_answer { ended { gateway: "gateway-1" incarnation: 12 through: 3 } }',
    "lease_unknown": f"lease_answer {{ unknown {{ {LEASE_NAME} }} }}",
    "settlements": f"settlements {{ settlements {{ {SETTLEMENT} }} settlements {{ {SETTLEMENT} }} }}",
    "price_table_request": "price_table_request {}",
    "price_table": f'''price_table {{ epoch: 9 revision: 8 unknown: "free"
        rows {{ model: "m1" effective_from_ms: -1 price {{ {TOKEN_PRICE} }} }}
        rows {{ model: "é" effective_from_ms: 1900000000000 price {{}} }} }}''',
    "price_table_empty": 'price_table { epoch: 9 revision: 1 unknown: "refuse" }',
    "settings_table_request": "settings_table_request {}",
    "settings_table": '''settings_table { epoch: 9 revision: 7
  overrides { id: "gateway.max_requests" value: "1024" }
  overrides { id: "inference.race" value: "hedged" } }''',
    "settings_table_empty": "settings_table { epoch: 9 }",
    "spending_query": 'spending_query { key: "key/é" days: 31 }',
    "spending_report": '''spending_report { key: "key/é"
        budgets { owner: "team" id: "acme/lab" period: "quarter" window: "rolling" amount: 9
          spent: 11 has_reset: true resets_at_ms: 1900000000000 }
        budgets { owner: "key" period: "hour" window: "calendar" }
        balance { organisation: "acme" available: -4 held: 3 }
        rows { day: 20000 model: "m1" requests: 2 usage { prompt: 8 cached: 3 completion: 9 }
          cost: 7 }
        first_day: -1 }''',
    "spending_report_empty": "spending_report {}",
    "key_use_report": '''key_use_report { epoch: 9 after: 5 hour: 475001
        uses { key: "abcdefghijkl" hours { hour: 475000 requests: 2 tokens: 1000000000000 }
          hours { hour: -1 tokens: 3 } }
        uses { key: "mnopqrstuvwx" } }''',
    "key_use_report_empty": "key_use_report {}",
    "key_use_table": '''key_use_table { epoch: 9 revision: 7 is_complete: true
        uses { key: "abcdefghijkl" hours { hour: 475001 requests: 4 } }
        unrecorded: "mnopqrstuvwx" }''',
    "key_use_table_partial": "key_use_table { epoch: 9 }",
    "skill_report": f'''skill_report {{ pattern: "tutti/debate" choice {{ {CHOICE} }} }}''',
    "skill_report_empty": 'skill_report { choice { kind: "prose" basis: "anchor" } }',
    "skill_table": f'''skill_table {{ epoch: 9 revision: 3 skills {{ {SKILL} }}
        gains {{ {GAIN} }} }}''',
    "skill_table_empty": "skill_table {}",
    "telemetry": f'''telemetry {{ service: "gateway" instance: "gateway-1"
        logs {{ time_unix_us: 1700000000000000 level: "info" service: "gateway" message: {TEXT}
          trace_id: {TRACE} attributes {{ key: "k" value: "v" }} }}
        logs {{ time_unix_us: 1 level: "error" service: "gateway" }}
        spans {{ trace_id: {TRACE} span_id: 3 parent_id: 4 service: "gateway" name: "infer"
          start_unix_us: 5 duration_us: 6 failed: true attributes {{ key: "host" value: "h1" }} }}
        requests {{ trace_id: {TRACE} time_unix_us: 7 endpoint: "/v1/chat/completions"
          model: "tutti/fast" pattern: "direct" stream: true status: 499 error_code: "cancelled"
          host: "h1" prompt_tokens: 8 completion_tokens: 9 tokens_estimated: true
          first_token_ms: 10 total_ms: 11 key_id: "abcdefghij23" cached_tokens: 3
          cost_micro: 12 has_cost: true has_host_cost: true finish_reason: "length"
          shares {{ host: "h1" model: "m1" prompt_tokens: 8 completion_tokens: 9
            host_cost_micro: 13 has_host_cost: true }}
          shares {{ host: "h2" model: "m1" prompt_tokens: 8 completion_tokens: 1 }} }}
        requests {{ trace_id: {TRACE} time_unix_us: 7 endpoint: "/v1/models" pattern: "direct"
          status: 404 }}
        metrics {{ name: "tutti_requests_total" help: "Requests." kind: METRIC_KIND_HISTOGRAM
          samples {{ suffix: "_bucket" labels {{ key: "le" value: "+Inf" }} value: 1.5 }}
          samples {{ value: -0.25 }} }} }}''',
}

SAMPLES = {
    name: 'version: 1 message_id: 7 shape: SHAPE_CALL sender: "gateway-1" '
    f"sender_incarnation: 11 {body}"
    for name, body in BODIES.items()
}
SAMPLES["everything"] = r'''
version: 1 message_id: 18446744073709551615 correlation_id: 9223372036854775808
shape: SHAPE_ITEM sender: "agent-é" sender_incarnation: 18446744073709551615 to_incarnation: 1
remaining_ms: 59999 sequence: 4294967295
trace {
  trace_id: "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff" span_id: 43981
}
idempotency_key: "\000\377\001" ack {}
'''


def load_messages(proto_dir):
    with tempfile.TemporaryDirectory() as generated:
        files = sorted(str(path) for path in pathlib.Path(proto_dir).glob("tutti/v1/*.proto"))
        subprocess.run(
            ["protoc", f"--proto_path={proto_dir}", f"--python_out={generated}", *files], check=True)
        sys.path.insert(0, generated)
        from tutti.v1 import envelope_pb2
        return envelope_pb2


def main():
    proto_dir, verb, folder = sys.argv[1:]
    messages = load_messages(proto_dir)
    from google.protobuf import text_format
    failures = []
    for name, text in SAMPLES.items():
        expected = text_format.Parse(text, messages.Envelope())
        path = pathlib.Path(folder) / f"{name}.bin"
        if verb == "write":
            path.write_bytes(expected.SerializeToString())
        elif not path.exists():
            failures.append(f"{name}: was not written")
        else:
            found = messages.Envelope.FromString(path.read_bytes())
            if found != expected:
                failures.append(f"{name}: expected\n{expected}\nfound\n{found}")
    if verb == "check":
        for path in pathlib.Path(folder).glob("*.bin"):
            if path.stem not in SAMPLES:
                failures.append(f"{path.stem}: is not in golden.py")
    print("\n".join(failures) or f"{len(SAMPLES)} samples")
    return 1 if failures else 0


sys.exit(main())
