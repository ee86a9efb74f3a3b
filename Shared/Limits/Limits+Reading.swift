/// Bounds on reading the answers of a host, and on translating requests and answers.
extension Limits {
  static let reading = [
    eventBytes, answerBodyBytes, wholeAnswerBytes, streamBytes, answerSocketBytes, errorBytes,
    errorMemberBytes,
    errorMembers, strayBytes, readerBytes, decodedPerByte, decodedFreely, passedHeaders,
    passedHeaderBytes, assembledBytes, eventWork,
    emptyChunksInRow, emptyChunks, answerChoices, toolCalls, answerMembers, nameBytes, callIDBytes,
    invalidBytes, vectorNumbers, vectorBytes, translatedTexts, translatedParts, translatedBytes,
  ]

  public static let eventBytes = Limit(
    "answer.event_bytes", 24 << 20, .bytes,
    "As large as a body: a picture or a minute of sound travels in one event. A chunk of text has "
      + "some 300 bytes, and only received bytes take memory.")
  public static let answerBodyBytes = Limit(
    "answer.body_bytes", 24 << 20, .bytes,
    "An answer that is not streamed: 2,048 embeddings of 1,024 numbers with eleven digits.")
  public static let wholeAnswerBytes = Limit(
    "answer.whole_bytes", 24 << 20, .bytes,
    "One body of a host that was asked for a stream: as large as any body, because the host may "
      + "answer with a picture.")
  public static let streamBytes = Limit(
    "answer.stream_bytes", 320 << 20, .bytes,
    "A million tokens, one per chunk, in chunks of some 300 bytes. A stream is not stored.")
  public static let answerSocketBytes = Limit(
    "answer.socket_bytes", 512 << 10, .bytes,
    "Unread bytes of each answer that the kernel keeps: 1,700 chunks, or 5 MB a second over a line "
      + "with a delay of 0.1 s.")
  public static let errorBytes = Limit(
    "answer.error_bytes", 64 << 10, .bytes,
    "The body of an error status. Error messages have some 200 bytes; pages of HTML some 10 KiB.")
  public static let strayBytes = Limit(
    "answer.stray_bytes", 2 << 10, .bytes,
    "The first lines of a stream that belong to no event. Some hosts write the cause of a failure "
      + "there; a sentence and the head of a page of HTML fit.")
  public static let errorMemberBytes = Limit(
    "answer.error_member_bytes", 4 << 10, .bytes,
    "All members of a host's error object that are passed on, without its message. Three names and "
      + "a list of faulty fields have some 500 bytes.")
  public static let errorMembers = Limit(
    "answer.error_members", 16, .count, "Members of a host's error object; hosts send three to six."
  )
  public static let decodedPerByte = Limit(
    "answer.decoded_per_byte", 200, .count,
    "Decoded bytes per byte of a compressed answer or request. Streams of chunks that "
      + "differ in one word stay below 30; the format allows 1,032.")
  public static let decodedFreely = Limit(
    "answer.decoded_freely", 1 << 20, .bytes,
    "Decoded bytes before answer.decoded_per_byte applies, because a repeated letter can be an "
      + "honest answer.")
  public static let invalidBytes = Limit(
    "answer.invalid_bytes", 16, .count,
    "Bytes of one event that may be no UTF-8; of a longer event one byte in 16. A host that cuts a "
      + "character in two leaves three such bytes. Text in another encoding has more and is unreadable, "
      + "so another host is asked.")
  public static let passedHeaders = Limit(
    "answer.passed_headers", 32, .count,
    "Headers of a host's answer that reach the client. OpenAI sends 10 such headers.")
  public static let passedHeaderBytes = Limit(
    "answer.passed_header_bytes", 256, .bytes,
    "The value of such a header: ids and numbers of some 50 bytes.")
  public static let readerBytes = Limit(
    "answer.reader_bytes", 64 << 20, .bytes,
    "A body of 24 MiB, its translation of the same size, and the spare capacity of buffers.")
  public static let assembledBytes = Limit(
    "answer.assembled_bytes", 64 << 20, .bytes,
    "True memory of the body made of a stream: a million tokens have some 8 MiB of text, and buffers "
      + "and log probabilities take several times that.")
  public static let eventWork = Limit(
    "answer.event_work", 2_048, .count,
    "Work units per event, besides its bytes: it is parsed, held, passed on and freed. 32 bytes "
      + "grant that much, and no chunk with text is shorter.")
  public static let emptyChunksInRow = Limit(
    "answer.empty_chunks_in_row", 64, .count,
    "Chunks without content that are all passed on: an opening chunk for each choice and a few "
      + "pauses. After these, one in 64 is passed on to keep the connection alive.")
  public static let emptyChunks = Limit(
    "answer.empty_chunks", 65_536, .count,
    "Some hosts send an empty chunk for each token that they hide. No model hides more than "
      + "65,536 tokens.")
  public static let answerChoices = Limit(
    "answer.choices", 4_096, .count,
    "Choices of one answer: 128 choices, which is OpenAI's limit, for 32 prompts. No request may ask "
      + "for more.")
  public static let toolCalls = Limit(
    "answer.tool_calls", 1_024, .count,
    "Tool calls of one answer. OpenAI allows 128 tools in a request, and models call some 30 at once."
  )
  public static let answerMembers = Limit(
    "answer.members", 1_024, .count,
    "Members of one object of an answer. Chunks have some 20, and `JSONObjectScanner` reads no more."
  )
  public static let nameBytes = Limit(
    "answer.name_bytes", 256, .bytes,
    "Ids, model names, fingerprints, roles, finish reasons and names of tools. Each is copied into "
      + "many chunks. The longest known ones are paths of model files, some 150 bytes.")
  public static let callIDBytes = Limit(
    "answer.call_id_bytes", 4 << 10, .bytes,
    "The id of a tool call, which is sent once. Some gateways put a signed thought of 2 KiB into it."
  )
  public static let vectorNumbers = Limit(
    "answer.vector_numbers", 65_536, .count,
    "Numbers of one embedding that is translated. The longest known ones have 16,384.")
  public static let vectorBytes = Limit(
    "answer.vector_bytes", 2 << 20, .bytes,
    "The JSON of one embedding: 65,536 numbers of 30 digits. An answer has one for each text of "
      + "the request.")
  public static let translatedTexts = Limit(
    "translation.texts", 2_048, .count,
    "Texts to embed and stop strings of a request that is translated: as many as OpenAI embeds at "
      + "once.")
  public static let translatedParts = Limit(
    "translation.parts", 65_536, .count,
    "Messages, parts, tools and calls of a request that is translated into another dialect. Each "
      + "takes some 500 bytes while it is translated. Long conversations have some 2,000.")
  public static let translatedBytes = Limit(
    "translation.bytes", 192 << 20, .bytes,
    "Memory of a translation while it is made: five times the largest request body.")
}
