extension Limits {
  static let clients = [
    connections, connectionsPerClient, connectionsPerLocalClient, waitingConnections,
    acceptedConnections, reservedConnections, refusedConnections,
    requestsPerClient, requestsPerLocalClient, requestBytesPerClient, requestBytesPerLocalClient,
    plansPerClient, plansPerLocalClient, keyReserve, cheapAnswers, cheapBurst,
    healthAnswers, abandonedRequests,
    smallBody, bodyWait, readerStall,
    forwardedHeaders,
    forwardedHeaderBytes, tlsFileBytes, tlsHandshake,
  ]

  public static let connections = Limit(
    "clients.connections", 1_024, .count,
    "Twice the requests answered at once, so that clients can keep connections between requests. "
      + "With 64 KiB of buffers each they are 64 MiB. At the limit the connection that has been "
      + "idle longest is closed.")
  public static let connectionsPerClient = Limit(
    "clients.connections_per_client", 128, .count,
    "Client libraries keep up to 100 connections. Eight such clients fit.")
  public static let connectionsPerLocalClient = Limit(
    "clients.connections_per_local_client", 1_024, .count,
    "All programs on this machine share one address, among them load generators with hundreds of "
      + "streams. Idle connections are closed when others wait.")
  public static let waitingConnections = Limit(
    "clients.waiting_connections", 4_096, .count,
    "Connections that the kernel keeps until they are accepted. A client that opens and closes "
      + "2,000 connections in a third of a second does not keep others out.")
  public static let acceptedConnections = Limit(
    "clients.accepted_connections", 32, .count,
    "Connections that a server accepts before it passes them to its event loops, where clients take "
      + "turns. Closed ones do not count.")
  public static let reservedConnections = Limit(
    "clients.reserved_connections", 32, .count,
    "Connections above clients.connections, for /health, /ready and /metrics only. Probes and "
      + "scrapers ask a few times a minute.")
  public static let refusedConnections = Limit(
    "clients.refused_connections", 128, .count,
    "Connections that stay open for up to 2 s after a refusal, so that their clients can read it. "
      + "With 40 KiB each they are 5 MiB. A client that sends large bodies of which none is read "
      + "would otherwise have hundreds.")
  public static let requestsPerClient = Limit(
    "clients.requests_per_client", 128, .count,
    "A quarter of the requests answered at once: three other clients fit.")
  public static let requestsPerLocalClient = Limit(
    "clients.requests_per_local_client", 512, .count,
    "All programs on this machine share one address; 512 is what the gateway answers at once.")
  public static let requestBytesPerClient = Limit(
    "clients.request_bytes_per_client", 14 << 20, .bytes,
    "Bodies of all requests that are not answered yet, also incomplete ones: one of the largest "
      + "size and some smaller ones. Further bodies wait unread. A request with a key counts for "
      + "its key.")
  public static let requestBytesPerLocalClient = Limit(
    "clients.request_bytes_per_local_client", 14 << 20, .bytes,
    "The same for all programs on this machine together, as far as they have no keys.")
  public static let plansPerClient = Limit(
    "clients.plans_per_client", 32, .count,
    "A plan has up to 64 tasks, so that 32 plans keep every host of a small cluster busy.")
  public static let plansPerLocalClient = Limit(
    "clients.plans_per_local_client", 256, .count,
    "Half of the requests answered at once: direct answers still fit.")
  public static let keyReserve = Limit(
    "clients.key_reserve", 8, .count,
    "An eighth of the places for all requests, and of each address's places for requests and "
      + "plans, is a reserve. Only a key that has less than half as many places as the reserve "
      + "may use it. One key that keeps many requests waiting, for a slow model or for its "
      + "budget, leaves 64 of 512 places to others.")
  public static let cheapAnswers = Limit(
    "clients.cheap_answers", 100, .count,
    "Refusals and pages of the gateway per second for one key, or for one address without a valid "
      + "key. Further ones are delayed, and so are its next requests, by at most a second each. So "
      + "more than 100 connections get one per second each. Clients that heed errors cause few.")
  public static let cheapBurst = Limit(
    "clients.cheap_burst", 200, .count,
    "Refusals and pages that come without delay after a pause: two seconds of them.")
  public static let healthAnswers = Limit(
    "clients.health_answers", 500, .count,
    "Answers of /health and /ready per second for one address. Further ones are delayed by at most "
      + "a second. A hundred load balancers behind one address can ask five times per second.")
  public static let abandonedRequests = Limit(
    "clients.abandoned_requests", 300, .count,
    "Requests per second that one key, or one address without a valid key, may leave before their "
      + "answers, if it gets no refusals or pages. Its next requests are delayed by at most a "
      + "second. Programs that complete text abandon most requests: 300 people who type share a "
      + "key without delay.")
  public static let smallBody = Limit(
    "clients.small_body", 8 << 10, .bytes,
    "Smaller bodies count for no client and never wait. 1,024 connections can send 8 MiB of them.")
  public static let bodyWait = Limit(
    "clients.body_wait", 20_000, .milliseconds,
    "After this time a body that still waits is refused with 429, before gateway.body_deadline of "
      + "30 s ends its connection.")
  public static let readerStall = Limit(
    "clients.reader_stall", 60_000, .milliseconds,
    "A client that takes less than 32 KiB in a minute is slower than any model. It holds a slot "
      + "of a host, because the host waits for it.")
  public static let forwardedHeaders = Limit(
    "clients.forwarded_headers", 16, .count,
    "Headers of a client that go to hosts: three by default, and those that the operator lists.")
  public static let forwardedHeaderBytes = Limit(
    "clients.forwarded_header_bytes", 4 << 10, .bytes,
    "All headers of a client that go to hosts. Servers accept 8 KiB of headers in all.")
  public static let tlsFileBytes = Limit(
    "tls.file_bytes", 1 << 20, .bytes, "A certificate chain has some kilobytes.")
  public static let tlsHandshake = Limit(
    "tls.handshake", 10_000, .milliseconds,
    "As long as the head of a request may take; a handshake is two round trips.")
}
