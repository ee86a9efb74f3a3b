extension Limits {
  static let memory = [
    processMemory, streamUnread, streamPause, requestFloor, requestCopies, turnBytes, readBytes,
    heavyBytes,
    heavyJobs, mappedBuffer, readCopies, streamBurst, streamRate, fastStreamRate, streamWait,
  ]

  public static let processMemory = Limit(
    "memory.process", 256 << 20, .bytes,
    "All request bodies, answers, unread chunks and plans of one process. At the limit the largest "
      + "unread stream ends first and new requests get 503. An eighth is reserved for small requests."
  )
  public static let streamUnread = Limit(
    "memory.stream_unread", 1 << 20, .bytes,
    "Unread part of a plan's answer: 250,000 words. Above the limit the stream is cut.")
  public static let streamPause = Limit(
    "memory.stream_pause", 64 << 10, .bytes,
    "Above the limit the host's stream is not read until the client reads: some 100 chunks, more "
      + "than a client lags in one turn.")
  public static let requestFloor = Limit(
    "memory.request_floor", 64 << 10, .bytes,
    "Each request is charged at least this: its head, its records, and its unread bytes up to "
      + "memory.stream_pause. 512 requests are 32 MiB.")
  public static let requestCopies = Limit(
    "memory.request_copies", 3, .count,
    "A request's body is held as received, as passed on, and as sent to one host. Some of the "
      + "three often share their bytes.")
  public static let turnBytes = Limit(
    "memory.turn_bytes", 8 << 10, .bytes,
    "Bytes of a host's answer that one turn of an event loop reads: 1.2 ms at 7 MB/s, the speed of "
      + "small chunks.")
  public static let readBytes = Limit(
    "memory.read_bytes", 16 << 10, .bytes,
    "Bytes of a client that one turn of an event loop reads. If they arrive in chunks of one "
      + "byte, which take 6 bytes each, they cost 2 ms.")
  public static let streamBurst = Limit(
    "pace.stream_burst", 64 << 10, .bytes,
    "Bytes that a stream may deliver at once: 250 chunks, more than a model makes in two seconds. "
      + "Twenty such streams that begin together cost 0.2 s.")
  public static let streamRate = Limit(
    "pace.stream_rate", 128 << 10, .bytes,
    "Bytes of one stream per second, after the burst: 500 chunks. A faster stream shares "
      + "pace.fast_streams.")
  public static let fastStreamRate = Limit(
    "pace.fast_streams", 2 << 20, .bytes,
    "Bytes per second and core for all streams together that are faster than pace.stream_rate: a "
      + "third of the processor. The rest is left for all other streams.")
  public static let streamWait = Limit(
    "pace.wait", 5, .milliseconds,
    "Pause before a fast stream asks again: shorter than a token takes, longer than a turn.")
  public static let heavyBytes = Limit(
    "memory.heavy_bytes", 64 << 10, .bytes,
    "A separate thread reads larger bodies and events, because no part of them can be passed on "
      + "before the last byte.")
  public static let mappedBuffer = Limit(
    "memory.mapped_buffer", 256 << 10, .bytes,
    "A larger buffer is returned to the system when it is freed. Smaller ones are reused.")
  public static let readCopies = Limit(
    "memory.read_copies", 3, .count,
    "A large event or body is charged three times while it is read: its bytes, its text, and the "
      + "bytes sent to the client.")
  public static let heavyJobs = Limit(
    "memory.heavy_jobs", 1_024, .count,
    "Jobs that wait for the thread of memory.heavy_bytes: two for each request answered at once.")
}
