extension Limits {
  static let memory = [
    processMemory, streamUnread, streamPause, requestFloor, requestCopies, turnBytes, readBytes,
    heavyBytes,
    heavyJobs, mappedBuffer, readCopies, streamBurst, streamRate, fastStreamRate, streamWait,
  ]

  public static let processMemory = Limit(
    "memory.process", 256 << 20, .bytes,
    "All request bodies, answers, unread chunks and plans of one process. At the limit the largest "
      + "unread stream ends first and new requests get 503.")
  public static let streamUnread = Limit(
    "memory.stream_unread", 1 << 20, .bytes,
    "What a client has not read of a plan's answer: 250,000 words. Above it the stream is cut.")
  public static let streamPause = Limit(
    "memory.stream_pause", 64 << 10, .bytes,
    "Above it a host's stream is not read until the client has read: some 100 chunks, more than a "
      + "client falls back by in one turn.")
  public static let requestFloor = Limit(
    "memory.request_floor", 64 << 10, .bytes,
    "Each request is charged at least this: its head, its records, and its unread bytes up to "
      + "memory.stream_pause. 512 requests are 32 MiB.")
  public static let requestCopies = Limit(
    "memory.request_copies", 3, .count,
    "A request's body is held as it came, as it is passed on, and as one host is sent it. Some of "
      + "the three are often the same bytes.")
  public static let turnBytes = Limit(
    "memory.turn_bytes", 8 << 10, .bytes,
    "What one turn of an event loop reads of a host's answer: at 7 MB/s, which is what small chunks "
      + "take, 1.2 ms.")
  public static let readBytes = Limit(
    "memory.read_bytes", 16 << 10, .bytes,
    "What one turn of an event loop reads of a client. As chunks of one byte, which take 6 bytes each, "
      + "they cost 2 ms.")
  public static let streamBurst = Limit(
    "pace.stream_burst", 64 << 10, .bytes,
    "What a stream may bring at once: 250 chunks, more than a model makes in two seconds. Twenty such "
      + "streams that begin together cost 0.2 s.")
  public static let streamRate = Limit(
    "pace.stream_rate", 128 << 10, .bytes,
    "A second, after the burst: 500 chunks. A stream that is faster shares pace.fast_streams.")
  public static let fastStreamRate = Limit(
    "pace.fast_streams", 2 << 20, .bytes,
    "A second and core, for all streams together that are faster than pace.stream_rate: a third of "
      + "the processor. Hosts that send as fast as they can leave the rest to the others.")
  public static let streamWait = Limit(
    "pace.wait", 5, .milliseconds,
    "Before a fast stream asks again: short beside a token, and long beside a turn.")
  public static let heavyBytes = Limit(
    "memory.heavy_bytes", 64 << 10, .bytes,
    "Larger bodies and events are read by a thread of their own, because no part of them can be "
      + "passed on before the last byte.")
  public static let mappedBuffer = Limit(
    "memory.mapped_buffer", 256 << 10, .bytes,
    "A larger buffer is returned to the system when it is freed. Smaller ones are reused.")
  public static let readCopies = Limit(
    "memory.read_copies", 3, .count,
    "A large event or body is charged three times while it is read: the bytes, the text in it, and "
      + "what the client is sent.")
  public static let heavyJobs = Limit(
    "memory.heavy_jobs", 1_024, .count,
    "Jobs that wait for that thread: two for each request answered at once.")
}
