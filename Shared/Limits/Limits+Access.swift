extension Limits {
  static let access = [
    accessKeyBytes, accessKeys, accessNameBytes, accessGrace, accessPages, accessPageBytes,
    accessRecordBytes,
    accessListEntries, accessRateLimit, accessFailures, accessFailureWindow, accessBlock,
    accessSources, accessKnownPairs,
    accessKeySeries, accessUseBatch, accessUseRows, accessUseFileBytes,
  ]

  public static let accessKeyBytes = Limit(
    "access.key_bytes", 128, .bytes,
    "A key has 62 bytes. Longer values are refused before they are copied or hashed.")
  public static let accessKeys = Limit(
    "access.keys", 16_384, .count,
    "Keys in one access table. With 300 bytes each they take 5 MiB in every gateway.")
  public static let accessNameBytes = Limit(
    "access.name_bytes", 256, .bytes,
    "Name of one key: a sentence. Tables for people show the first part of it.")
  public static let accessGrace = Limit(
    "access.grace", 31_622_400_000, .milliseconds,
    "Longest time for which a replaced key stays valid: a leap year. A key that must stay valid for "
      + "longer needs no rotation.")
  public static let accessPages = Limit(
    "access.pages", 256, .count,
    "Pages of one access table. All keys with records of the largest size fill 193 pages.")
  public static let accessPageBytes = Limit(
    "access.page_bytes", 512 << 10, .bytes,
    "Half of bus.frame_bytes, because a publication is one frame and its encoding adds to the text."
  )
  public static let accessRecordBytes = Limit(
    "access.record_bytes", 6 << 10, .bytes,
    "Text of one key's record: its name, its account and 64 names of models with 60 bytes each.")
  public static let accessListEntries = Limit(
    "access.list_entries", 256, .count,
    "Models, patterns, data policies or host pools of one key. A short list is compared in a "
      + "microsecond.")
  public static let accessRateLimit = Limit(
    "access.rate_limit", 1_000_000_000_000, .count,
    "Largest value of a key's limit on requests or tokens. 10,000 hosts make fewer tokens in a "
      + "day, and sums of a million such numbers fit into 64 bits.")
  public static let accessFailures = Limit(
    "access.failures", 20, .count,
    "Wrong keys from one address within access.failure_window before it is blocked. A person with "
      + "an old key in a few programs stays below it.")
  public static let accessFailureWindow = Limit(
    "access.failure_window", 60_000, .milliseconds,
    "Wrong keys are counted for this time. A program that retries a wrong key once in a few "
      + "seconds exceeds access.failures within this time.")
  public static let accessBlock = Limit(
    "access.block", 30_000, .milliseconds,
    "A blocked address waits this long, however many keys it tries meanwhile. A person who needs "
      + "at least this long to correct a key can try again at once.")
  public static let accessSources = Limit(
    "access.sources", 4_096, .count,
    "Addresses with wrong keys that are remembered. With 100 bytes each they take less than 1 MiB; "
      + "a flood from more addresses replaces the oldest.")
  public static let accessKeySeries = Limit(
    "access.key_series", 20, .count,
    "Keys with metrics of their own in one gateway: 60 series. The page of a dashboard shows no "
      + "more, and the other keys are counted together.")
  public static let accessUseBatch = Limit(
    "access.use_batch", 256, .count,
    "Keys in one message with the day's use. Each has at most 25 hours, so the message has some "
      + "100 KB. If more keys have changed, the next message follows at once.")
  public static let accessUseRows = Limit(
    "access.use_rows", 16_384, .count,
    "Pairs of a key and a gateway process with use in the last day that the registry keeps, in at "
      + "most 15 MiB: every key of a full table at one gateway. Without room, processes that have "
      + "ended are added up, and then the gateways of a key keep their parts of its limits.")
  public static let accessUseFileBytes = Limit(
    "access.use_file_bytes", 32 << 20, .bytes,
    "The registry's file with the day's use: access.use_rows with 25 hours of 40 bytes each, and "
      + "names.")
  public static let accessKnownPairs = Limit(
    "access.known_pairs", 16_384, .count,
    "Pairs of an address and its accepted key: one for each key of a full table. Only holders of a "
      + "valid key add to them.")
}
