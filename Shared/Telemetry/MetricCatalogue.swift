public import ClusterModel

/// Kind, help text and buckets of a metric.
public struct MetricDescription: Hashable, Sendable {
  public var name: String
  public var help: String
  public var kind: MetricKind
  /// Upper bounds of a histogram's buckets, in the metric's unit and in ascending order. Infinity
  /// is not among them.
  var buckets: [Double]

  init(_ name: String, _ kind: MetricKind, _ help: String, buckets: [Double] = []) {
    self.name = name
    self.help = help
    self.kind = kind
    self.buckets = buckets
  }
}

/// Help texts and buckets of all metrics, in one place. A test compares their names with the names
/// of the metrics that the code records.
public struct MetricCatalogue: Sendable {
  /// Metrics of one part of Tutti.
  struct Section: Sendable {
    /// Heading in docs/manual/metrics.md.
    var title: String
    var metrics: [MetricDescription]

    init(_ title: String, _ metrics: [MetricDescription]) {
      self.title = title
      self.metrics = metrics
    }
  }

  /// In the order of docs/manual/metrics.md.
  let sections: [Section]
  private(set) var descriptions: [String: MetricDescription] = [:]

  init(_ sections: [Section]) {
    self.sections = sections
    for section in sections {
      for metric in section.metrics { descriptions[metric.name] = metric }
    }
  }

  public subscript(name: String) -> MetricDescription? { descriptions[name] }

  /// Bounds from a fast local call to the longest deadline of a request: 5 ms … 1 h.
  static let requestSeconds: [Double] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_200, 3_600,
  ]
  /// Bounds of histograms by host: 10 ms … 1 h. They are coarser, because a process that knows 256
  /// hosts sends each bound 256 times.
  static let hostSeconds: [Double] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 300, 1_200, 3_600,
  ]
  /// Bounds of probes, which end after a few seconds: 5 ms … 10 s.
  static let probeSeconds: [Double] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]
  /// Bounds for one message over the bus: 50 µs … 1 s.
  static let hopSeconds: [Double] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1,
  ]
  /// Bounds of sizes: 256 B … 16 MiB.
  static let bytes: [Double] = [
    256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
  ]
  /// Bounds of counts, for example of tokens, tasks and members.
  static let counts: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096]

  public static let tutti = MetricCatalogue([
    everyProcessMetrics, busMetrics, httpMetrics, memoryMetrics, gatewayMetrics, inferenceMetrics,
    registryMetrics, plansMetrics, monitorMetrics,
  ])

  private static let everyProcessMetrics = Section(
    "Every process",
    [
      MetricDescription(
        "tutti_build_info", .gauge, "Always 1; the labels have the version of this process."),
      MetricDescription(
        "process_cpu_seconds_total", .counter, "User and system CPU time of this process."),
      MetricDescription(
        "process_resident_memory_bytes", .gauge, "Memory of this process that is in RAM."),
      MetricDescription(
        "process_start_time_seconds", .gauge, "When this process started, in seconds since 1970."),
      MetricDescription(
        "tutti_process_crashes_total", .counter,
        "Times that a process of this name ended unexpectedly since `tutti up` started."),
      MetricDescription(
        "tutti_process_last_crash_time_seconds", .gauge,
        "When a process of this name last ended unexpectedly, in seconds since 1970."),
      MetricDescription("process_open_fds", .gauge, "File descriptors that this process has open."),
      MetricDescription(
        "tutti_telemetry_dropped_total", .counter,
        "Telemetry records that were dropped because a buffer was full."),
      MetricDescription(
        "tutti_metrics_overflow_total", .counter,
        "Times a metric got a label set beyond the limit; such label sets share one series."),
    ])

  private static let busMetrics = Section(
    "Bus",
    [
      MetricDescription(
        "tutti_bus_dropped_total", .counter, "Messages that were dropped, by reason."),
      MetricDescription(
        "tutti_bus_call_seconds", .histogram,
        "Time from a call over the bus to its answer or failure.", buckets: hopSeconds),
      MetricDescription("tutti_bus_peers", .gauge, "Peers that this process knows."),
    ])

  private static let httpMetrics = Section(
    "HTTP ports",
    [
      MetricDescription(
        "tutti_http_requests_total", .counter, "HTTP requests answered, by route and status."),
      MetricDescription(
        "tutti_http_request_seconds", .histogram,
        "Time from an HTTP request's head to the start of its answer, by route.",
        buckets: requestSeconds),
      MetricDescription(
        "tutti_http_rejected_total", .counter,
        "Connections that were cut or refused before a handler saw a request, by reason."),
      MetricDescription(
        "tutti_http_evicted_total", .counter,
        "Idle, incomplete or delayed connections that were closed to make room for new ones."),
      MetricDescription(
        "tutti_http_delayed_total", .counter,
        "Requests and answers that were delayed because their client gets too many refusals, pages "
          + "or health checks, or leaves too many requests."),
      MetricDescription(
        "tutti_keys_refused_total", .counter,
        "HTTP requests refused because of their key: wrong, ended, or without the permission."),
    ])

  private static let memoryMetrics = Section(
    "Memory and large bodies",
    [
      MetricDescription(
        "tutti_memory_held_bytes", .gauge,
        "Bytes held for clients: request bodies, answers, unread chunks and plans."),
      MetricDescription(
        "tutti_memory_ended_total", .counter,
        "Streams with the most unread bytes that were ended because the memory budget was used up."),
      MetricDescription(
        "tutti_memory_refused_total", .counter,
        "Charges that did not fit into the memory budget."),
      MetricDescription(
        "tutti_heavy_jobs_refused_total", .counter,
        "Large bodies that were not read because too many waited."),
      MetricDescription(
        "tutti_inference_paused_total", .counter,
        "Times a host's stream was not read because the client did not read."),
      MetricDescription(
        "tutti_inference_odd_events_total", .counter,
        "Events of hosts' streams that were skipped because they hold no chunk, or repaired because "
          + "they are not UTF-8."),
    ])

  private static let gatewayMetrics = Section(
    "Gateway",
    [
      MetricDescription(
        "tutti_gateway_refused_total", .counter,
        "Requests refused because of a client's share, the number of requests or the memory budget, "
          + "by error code."),
      MetricDescription(
        "tutti_gateway_unrecorded_total", .counter,
        "Refused requests that the request log does not have: it takes a few per second, so that a "
          + "flood of them does not displace other records."),
      MetricDescription(
        "tutti_gateway_requests_total", .counter,
        "Client requests that ended, by endpoint, pattern, model and status code."),
      MetricDescription(
        "tutti_gateway_request_seconds", .histogram, "Time a client request took in all.",
        buckets: requestSeconds),
      MetricDescription(
        "tutti_gateway_first_token_seconds", .histogram,
        "Time from a client request to its first token.", buckets: requestSeconds),
      MetricDescription("tutti_gateway_in_flight", .gauge, "Client requests being answered now."),
      MetricDescription(
        "tutti_gateway_estimates_total", .counter,
        "Finished plans whose time was estimated, by the decision and whether it was right."),
      MetricDescription(
        "tutti_gateway_estimate_correction_ratio", .gauge,
        "Factor that corrects time estimates, learned from finished plans, by way of answering."),
      MetricDescription(
        "tutti_gateway_key_requests_total", .counter,
        "Admitted client requests that ended, by the key's id. Keys with few recent tokens share "
          + "key=\"other\"."),
      MetricDescription(
        "tutti_gateway_key_tokens_total", .counter,
        "Tokens of client requests, by the key's id and kind (prompt, completion). Keys with few "
          + "recent tokens share key=\"other\"."),
    ])

  private static let inferenceMetrics = Section(
    "Inference (gateway and agents)",
    [
      MetricDescription(
        "tutti_inference_requests_total", .counter,
        "Attempts at hosts that ended, by host, its tier (community, fallback) and outcome: answered, "
          + "beaten in a race, or the kind of failure."),
      MetricDescription(
        "tutti_inference_first_token_seconds", .histogram,
        "Time from a request to a host to its first token.", buckets: hostSeconds),
      MetricDescription(
        "tutti_inference_seconds", .histogram, "Time one inference took in all.",
        buckets: hostSeconds),
      MetricDescription(
        "tutti_inference_tokens_total", .counter,
        "Tokens by host, model and kind (prompt, completion), also of answers that ended early."),
      MetricDescription(
        "tutti_inference_cost_credits_total", .counter,
        "Cost of the hosts' work at their own prices, in credits, by host and model."),
      MetricDescription(
        "tutti_inference_cached_tokens_total", .counter,
        "Prompt tokens that hosts reported as cached, by host. They are a part of the kind prompt."),
      MetricDescription(
        "tutti_host_in_flight", .gauge, "Requests that this process has under way, by host."),
      MetricDescription(
        "tutti_host_first_token_p95_seconds", .gauge,
        "Time to a host's first token that 95 of 100 recent requests of the cluster did not exceed."
      ),
      MetricDescription(
        "tutti_host_breaker_open", .gauge,
        "1 while this process sends a host no requests because several failed in a row."),
      MetricDescription(
        "tutti_host_breaker_trips_total", .counter,
        "Times this process stopped sending requests to a host that failed several in a row."),
    ])

  private static let registryMetrics = Section(
    "Registry",
    [
      MetricDescription("tutti_registry_hosts", .gauge, "Hosts by state."),
      MetricDescription("tutti_registry_peers", .gauge, "Processes in the peer table."),
      MetricDescription("tutti_registry_probes_total", .counter, "Probes of hosts, by outcome."),
      MetricDescription(
        "tutti_registry_probe_seconds", .histogram, "Round trip of an answered probe.",
        buckets: probeSeconds),
      MetricDescription(
        "tutti_registry_budget_spent_ratio", .gauge,
        "Spent part of a budget in its present period. Only the budgets with the largest part are "
          + "listed."),
      MetricDescription(
        "tutti_registry_budgets_above_warning", .gauge,
        "Budgets whose spending has reached this of their warning thresholds, which is a part of "
          + "the amount."),
      MetricDescription(
        "tutti_registry_budget_warnings_total", .counter,
        "Warning thresholds of budgets that spending crossed."),
    ])

  private static let plansMetrics = Section(
    "Planner, dispatcher and agents",
    [
      MetricDescription("tutti_planner_plans_total", .counter, "Plans made, by pattern."),
      MetricDescription(
        "tutti_planner_plan_seconds", .histogram, "Time it took to make a plan.",
        buckets: hopSeconds),
      MetricDescription(
        "tutti_planner_expansions_total", .counter,
        "Task outputs that were turned into further tasks, perhaps none, by kind of expansion."),
      MetricDescription(
        "tutti_planner_expand_seconds", .histogram, "Time it took to expand a plan.",
        buckets: hopSeconds),
      MetricDescription(
        "tutti_dispatcher_plans_total", .counter, "Plans run, by pattern and outcome."),
      MetricDescription(
        "tutti_dispatcher_tasks_total", .counter, "Tasks that ended, by role and status."),
      MetricDescription("tutti_dispatcher_running_plans", .gauge, "Plans being run now."),
      MetricDescription(
        "tutti_dispatcher_running_tasks", .gauge,
        "Tasks that have passed a gate (a role's agents, or the hosts), by gate."),
      MetricDescription(
        "tutti_dispatcher_waiting_tasks", .gauge,
        "Tasks that wait for their client's turn, by gate."),
      MetricDescription(
        "tutti_dispatcher_expansions_total", .counter,
        "Requests to a planner to expand a plan, by outcome."),
      MetricDescription(
        "tutti_dispatcher_plan_seconds", .histogram, "Time one plan took.",
        buckets: requestSeconds),
      MetricDescription(
        "tutti_agent_tasks_total", .counter, "Tasks worked on, by role and outcome."),
      MetricDescription(
        "tutti_agent_task_seconds", .histogram, "Time one task took.", buckets: requestSeconds),
      MetricDescription("tutti_agent_running_tasks", .gauge, "Tasks being worked on now."),
    ])

  private static let monitorMetrics = Section(
    "Monitor",
    [
      MetricDescription(
        "tutti_monitor_records_total", .counter, "Telemetry records received, by kind."),
      MetricDescription(
        "tutti_monitor_store_failures_total", .counter,
        "Telemetry records that could not be written to the log store."),
      MetricDescription(
        "tutti_monitor_damaged_records", .gauge,
        "Records that were left out of answers because their rows are damaged."),
      MetricDescription(
        "tutti_monitor_instances", .gauge, "Processes whose metrics are in this answer."),
      MetricDescription(
        "tutti_monitor_left_out_samples_total", .counter,
        "Samples of other processes that the monitor left out, by reason."),
    ])
}
