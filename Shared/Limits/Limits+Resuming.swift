/// Bounds on the state that is kept of an answer so that another host can resume the answer.
extension Limits {
  static let resuming = [
    continuableBytes, answerMemory, heldChunkBytes, largeChunkBytes, answerFreeWork, stopSequences,
    stopBytes,
  ]

  public static let continuableBytes = Limit(
    "answer.continuable_bytes", 4 << 20, .bytes,
    "Text of one answer that is kept: a million tokens, more than any model writes or reads again. "
      + "A longer answer is passed on and cannot be resumed.")
  public static let answerMemory = Limit(
    "answer.kept_bytes", 12 << 20, .bytes,
    "True memory of the text that is kept: 4 MiB in buffers with room for twice as much, a copy of "
      + "it while a host repeats it, and 1,024 tool calls.")
  public static let heldChunkBytes = Limit(
    "answer.held_bytes", 4 << 20, .bytes,
    "True memory of chunks that wait for the next safe boundary. Usually two chunks of 300 bytes "
      + "wait; 4 MiB hold one event of 1 MiB, its delta, and the chunk after it.")
  public static let largeChunkBytes = Limit(
    "answer.large_chunk_bytes", 1 << 20, .bytes,
    "A larger chunk, such as a picture, is passed on at once and not kept, together with the "
      + "chunks that wait before it. Another host cannot resume such an answer.")
  public static let answerFreeWork = Limit(
    "answer.free_work", 16 << 20, .count,
    "The first words of a host that resumes an answer are compared with the end of the answer up "
      + "to 100 times, in 30,000 to 150,000 steps each. Each host gets a new allowance.")
  public static let stopSequences = Limit(
    "answer.stop_sequences", 16, .count,
    "Stop sequences to search for where two hosts' texts meet. OpenAI allows 4. An answer to a "
      + "request with more cannot be resumed.")
  public static let stopBytes = Limit(
    "answer.stop_bytes", 256, .bytes,
    "Length of such a stop sequence. Usual ones have some 20 bytes. An answer to a request "
      + "with a longer one cannot be resumed.")
}
