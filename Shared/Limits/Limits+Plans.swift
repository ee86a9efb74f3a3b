extension Limits {
  static let plans: [Limit] = [
    splitBytes, planTasks, planModels, planInputs, planExpansions, planDepth, planDocuments,
    documentTokens,
    documentParts, instructionBytes,
    planPromptBytes, planOutputBytes, planTraceBytes, tracedOutputBytes, dispatcherBytes,
    taskOutputBytes, readOutputBytes, heldDeltas, taskInferences, inferenceAttempts,
    checkedClaims, checkedEvidence, claimWords, examinedNames, comparedNames, comparedNameBytes,
    assembledNames, errorMessageBytes, errorProblems, errorNameBytes,
  ]

  public static let splitBytes = Limit(
    "plan.split_bytes", 16 << 10, .bytes,
    "A query that a person wrote is shorter. A longer one was pasted: its lists and questions are "
      + "not the client's own, so it is planned as one piece.")
  public static let planTasks = Limit(
    "plan.tasks", 64, .count,
    "16 members and their 16 critics for two rounds still fit. A dispatcher's work per event "
      + "stays in microseconds.")
  public static let planModels = Limit(
    "plan.models", 256, .count,
    "Models in each plan of a key from which tasks without a model choose. An eighth is for "
      + "embeddings. With names of 64 bytes, the list adds 16 KiB to each task.")
  public static let planInputs = Limit(
    "plan.task_inputs", 16, .count, "As many as an ensemble may have members.")
  public static let planExpansions = Limit(
    "plan.expansions", 16, .count,
    "Two rounds of repair, seven of a debate, and some reserve. An endless chain of expansions "
      + "ends here.")
  public static let planDepth = Limit(
    "plan.depth", 16, .count,
    "Tasks on one path of a plan. Each waits for a whole answer, so 16 take minutes.")
  public static let planDocuments = Limit(
    "plan.documents", 100, .count,
    "Documents of a request and of a task. At most, each of the 64 tasks has the names of all of "
      + "them.")
  public static let documentTokens = Limit(
    "plan.document_tokens", 16 << 10, .count,
    "Estimated document tokens in a prompt whose context has room for more. A laptop reads 200 "
      + "tokens per second, so this takes 80 s of a plan's 300. Longer documents are searched.")
  public static let documentParts = Limit(
    "plan.document_parts", 16, .count,
    "As many as one task has inputs, because one task reads each part and another task joins "
      + "their notes. A longer document is searched.")
  public static let instructionBytes = Limit(
    "plan.instruction_bytes", 64 << 10, .bytes,
    "As long as the query in a plan request; a plan of 64 such tasks is 4 MiB.")
  public static let planPromptBytes = Limit(
    "plan.prompt_bytes", 320 << 20, .bytes,
    "64 tasks that each read the longest conversation (4 MiB), and six that read all documents "
      + "(10 MB).")
  public static let planOutputBytes = Limit(
    "plan.output_bytes", 16 << 20, .bytes,
    "64 tasks that each write 256 KiB, four times as much as any of their readers gets.")
  public static let planTraceBytes = Limit(
    "plan.trace_bytes", 16 << 20, .bytes,
    "Outputs of a plan that a gateway keeps for a second dispatcher. A plan that writes more "
      + "continues, but fails if its dispatcher is lost.")
  public static let tracedOutputBytes = Limit(
    "plan.traced_output_bytes", 256 << 10, .bytes,
    "Outputs of tasks in an answer with `\"trace\": \"full\"`: 16 drafts of 4,000 tokens. Longer "
      + "ones are cut.")
  public static let dispatcherBytes = Limit(
    "dispatcher.plan_bytes", 512 << 20, .bytes,
    "A thousand plans with an ordinary conversation, or twenty with the largest documents.")
  public static let taskOutputBytes = Limit(
    "task.output_bytes", 1 << 20, .bytes,
    "An answer of 250,000 tokens: more than any model writes, and more than any prompt holds.")
  public static let readOutputBytes = Limit(
    "task.read_output_bytes", 128 << 10, .bytes,
    "Twice the share of each input in a prompt. Of a longer output only the beginning and the end "
      + "are used to shorten it.")
  public static let heldDeltas = Limit(
    "task.held_deltas", 1_024, .count,
    "Deltas are held while the answer may still be an echo of its prompt. A question and an "
      + "instruction have fewer tokens.")
  public static let taskInferences = Limit(
    "task.inferences", 8, .count,
    "Inferences of one task whose hosts are paid one by one: two lost agents, an embedding, an "
      + "answer and its repair, and some reserve. Tokens of further ones are paid to the task's "
      + "host.")
  public static let inferenceAttempts = Limit(
    "task.inference_attempts", 16, .count,
    "Attempts of one such inference that may earn something: the legs of a race, six hosts that "
      + "broke off, and hosts that resumed. With the longest names, the attempts of one task have "
      + "some 50 KiB.")
  public static let checkedClaims = Limit(
    "check.claims", 100, .count, "Sentences of an answer of some pages.")
  public static let checkedEvidence = Limit(
    "check.evidence", 2_000, .count, "Sentences of the sources in one prompt.")
  public static let claimWords = Limit(
    "check.claim_words", 128, .count,
    "Four times a long sentence. Only the first words of a longer claim, such as a text without "
      + "full stops, are compared.")
  public static let examinedNames = Limit(
    "names.examined", 1_024, .count,
    "Names that are searched for similar ones: the models of a large cluster. More would take longer "
      + "than a turn of an event loop.")
  public static let comparedNames = Limit(
    "names.compared", 64, .count,
    "Names that are compared letter by letter, those of similar length first.")
  public static let comparedNameBytes = Limit(
    "names.compared_bytes", 128, .bytes,
    "Twice the longest model name seen. 64 comparisons of it are 600,000 steps: a millisecond.")
  public static let assembledNames = Limit(
    "answer.assembled_names", 64, .count,
    "Members of a message besides its content: hosts send two or three.")
  public static let errorMessageBytes = Limit(
    "error.message_bytes", 2 << 10, .bytes,
    "Some eight sentences. If a client made more mistakes, the error names the first ones.")
  public static let errorProblems = Limit(
    "error.problems", 8, .count, "Mistakes that one error names.")
  public static let errorNameBytes = Limit(
    "error.name_bytes", 128, .bytes,
    "A name from the request that an error quotes, for example of an option.")
}
