extension Limits {
  static let hosts: [Limit] = [
    countedClientFailures, clientFailureWindow, clientsPerHost, closedHosts, rememberedHabits,
    tableHosts, hostModels, modelNameBytes, hostOfferBytes, guaranteedOfferBytes, tableOfferBytes,
    tableRowBytes, modelFactsBytes, hostVersionBytes, hostReasonBytes, hostSlots, hostTags,
    tagBytes, hostChoices, publications, publicationPause, probeBytes,
    probeTime,
    peerLabelBytes, reportedHosts, telemetryLabelBytes, telemetryMessageBytes,
    telemetryAttributeBytes, telemetryAttributes, pendingTelemetryBytes, metricLabels,
    metricLabelBytes, metricFamilies, metricBytesPerProcess, metricBytes,
  ]

  public static let countedClientFailures = Limit(
    "blame.counted_failures", 3, .count,
    "Failures of one client in each window that count against a host for all clients. A breaker "
      + "opens after five in a row, so no single client opens one.")
  public static let clientFailureWindow = Limit(
    "blame.window", 60_000, .milliseconds,
    "As long as a breaker remembers consecutive failures.")
  public static let clientsPerHost = Limit(
    "blame.clients_per_host", 16, .count,
    "Clients whose failures a host's record counts separately. Two are enough to open a breaker. "
      + "The others keep a client that always fails in memory while other clients come and go.")
  public static let closedHosts = Limit(
    "blame.closed_hosts", 4_096, .count,
    "Pairs of a host and a client for which the host is closed: some 64 bytes each.")

  public static let rememberedHabits = Limit(
    "habits.entries", 4_096, .count,
    "Pairs of a host and a model whose request habits are remembered: some 150 bytes each. 1,000 "
      + "hosts with four models in use each fit.")

  public static let tableHosts = Limit(
    "table.hosts", 1_000, .count,
    "One core makes 500 probes a second, so each host is probed every two seconds.")
  public static let hostModels = Limit(
    "table.host_models", 1_000, .count, "The largest aggregators list some 400 models.")
  public static let modelNameBytes = Limit(
    "table.model_name_bytes", 256, .bytes,
    "Names of model files with their folders have some 100 bytes.")
  public static let hostOfferBytes = Limit(
    "table.host_offer_bytes", 64 << 10, .bytes,
    "1,000 models with names of 48 bytes. Eight hosts that list this much fill the table.")
  public static let guaranteedOfferBytes = Limit(
    "table.guaranteed_offer_bytes", 400, .bytes,
    "Room for eight models of each host, whatever other hosts list. 1,000 hosts × 400 bytes fit "
      + "into table.offer_bytes.")
  public static let tableOfferBytes = Limit(
    "table.offer_bytes", 500_000, .bytes,
    "The host table travels in one frame of 1 MiB: this half holds the models of all hosts.")
  public static let tableRowBytes = Limit(
    "table.row_bytes", 500_000, .bytes,
    "The other half of the frame: 1,000 hosts whose id and URL have 80 bytes together.")
  public static let modelFactsBytes = Limit(
    "table.model_facts_bytes", 512, .bytes,
    "Owner, context and modalities of a model as its host lists them: some 300 bytes at the largest "
      + "aggregator. The table contains them only if all names fit.")
  public static let hostVersionBytes = Limit(
    "table.host_version_bytes", 100, .bytes,
    "A version with the hash of a commit has some 60 bytes. Each process keeps one per host.")
  public static let hostReasonBytes = Limit(
    "table.host_reason_bytes", 200, .bytes,
    "One sentence. Longer reasons would leave less room for hosts in the table.")
  public static let hostSlots = Limit(
    "table.host_slots", 65_536, .count,
    "More requests at once than any server takes. Sums over all hosts and processes stay small.")
  public static let hostTags = Limit(
    "table.host_tags", 16, .count,
    "Tags of one host: hardware, site, owner and customers. A host with 16 of the longest takes the "
      + "table space of three others.")
  public static let tagBytes = Limit(
    "table.tag_bytes", 64, .bytes,
    "One tag or region: one or two words, or one label of a DNS name.")
  public static let hostChoices = Limit(
    "table.host_choices", 32, .count,
    "Chat models of one host among which Tutti chooses if a request names none: all models of a "
      + "usual server. Each plan and each task reads them, so a host's long list must not count in "
      + "full. Models that a request or its key names are always included.")
  public static let publications = Limit(
    "table.publications", 16, .count,
    "Publications of the host table at once, for changes that probes find. A cluster that starts "
      + "makes some ten.")
  public static let publicationPause = Limit(
    "table.publication_pause", 1_000, .milliseconds,
    "Pause between further publications. A host can change its version or its models with each "
      + "probe, and a gateway takes some 20 ms to list the models of a full table.")
  public static let probeBytes = Limit(
    "probe.body_bytes", 2 << 20, .bytes, "1,000 models of 2 KB each.")
  public static let probeTime = Limit(
    "probe.milliseconds", 2_000, .milliseconds,
    "Time of each request of a probe, its whole body included. A healthy server lists its models "
      + "in milliseconds. With a longer time, 64 slow hosts would keep all others from being "
      + "probed.")
  public static let peerLabelBytes = Limit(
    "peers.label_bytes", 100, .bytes,
    "The name, the version and the service of a process. 512 rows of the longest fit one frame.")
  public static let reportedHosts = Limit(
    "load.reported_hosts", 4_096, .count,
    "Hosts of one load report. A process knows at most 1,000, and some that have just left.")

  public static let telemetryLabelBytes = Limit(
    "telemetry.label_bytes", 256, .bytes,
    "Names of services, hosts, models, spans and attributes. A model's name is the longest.")
  public static let telemetryMessageBytes = Limit(
    "telemetry.message_bytes", 8 << 10, .bytes,
    "A log message with a chain of causes, or another logged value. A larger value, such as a "
      + "header of 10 MB, must not fill the log.")
  public static let telemetryAttributeBytes = Limit(
    "telemetry.attribute_bytes", 2 << 10, .bytes, "An error that quotes several hosts.")
  public static let telemetryAttributes = Limit(
    "telemetry.attributes", 32, .count, "The span of a plan has some 30.")
  public static let pendingTelemetryBytes = Limit(
    "telemetry.pending_bytes", 32 << 20, .bytes,
    "Twice 50,000 records of 300 bytes: a minute of a busy cluster while the store is down.")
  public static let metricLabels = Limit(
    "metrics.labels", 16, .count, "Processes give a metric at most 12.")
  public static let metricLabelBytes = Limit(
    "metrics.label_bytes", 256, .bytes,
    "The value of one label. Processes cut values at 200 bytes.")
  public static let metricFamilies = Limit(
    "metrics.families", 1_000, .count, "A process has some 60 families. Its own limit is 500.")
  public static let metricBytesPerProcess = Limit(
    "metrics.process_bytes", 8 << 20, .bytes,
    "20,000 series with labels of some hundred bytes each.")
  public static let metricBytes = Limit(
    "metrics.bytes", 64 << 20, .bytes,
    "The metrics of all processes. A scrape can take 20 MB of text.")
}
