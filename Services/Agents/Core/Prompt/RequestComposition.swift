public import ClusterModel
import Text

/// A request to a host, and the members that the client did not send.
public struct ComposedRequest: Equatable, Sendable {
  public var body: [UInt8]
  /// Names of members that the task adds, with `system` for its system message.
  /// A host that refuses them may be asked without them.
  public var added: Set<String> = ["stream", "stream_options", "system"]
  /// Whether the token limit is the role's default and no share of a budget, so that it may be
  /// dropped.
  public var mayDropLimit = false
}

/// Composes the request that an agent sends to a host. The client's messages and parameters stay
/// byte for byte, except a message to which text is added.
public enum RequestComposition {
  /// Client parameters that a task other than the sink inherits: sampling and the user, but not the
  /// output format.
  static let samplingParameters: Set<String> = [
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
    "repeat_penalty", "logit_bias", "user",
  ]

  /// Maximum bytes of an output that is quoted for repair. They suffice to show the model's
  /// intention.
  private static let repairedBytes = 4_096

  /// Client parameters that the sink does not inherit, because the agent or the plan decides them.
  static let ownParameters: Set<String> = [
    "model", "messages", "stream", "stream_options", "n", "tutti",
  ]

  /// The body of a streamed chat completion, without `model`, which depends on the host.
  ///
  /// - Parameters:
  ///   - question: the question of the task's dialogue to ask; `nil` means the first.
  ///   - consensus: how far the inputs agree; `nil` means the weights in the order.
  ///   - notes: the agent's findings for the model.
  /// - Throws: `invalidRequest` if the conversation is not an array of messages, or the request
  ///   would be empty.
  public static func body(
    for order: TaskOrder, role: Role, question: TaskDialogue.Question? = nil,
    consensus: Consensus? = nil, notes: [String] = []
  ) throws(Failure) -> [UInt8] {
    try request(for: order, role: role, question: question, consensus: consensus, notes: notes).body
  }

  /// Like `body`, and also names the members that the task adds.
  public static func request(
    for order: TaskOrder, role: Role, question: TaskDialogue.Question? = nil,
    consensus: Consensus? = nil, notes: [String] = []
  ) throws(Failure) -> ComposedRequest {
    var composed = ComposedRequest(body: [])
    var members: [(String, JSON)] = [
      (
        "messages",
        .raw(
          try messages(
            for: order, role: role, consensus: consensus, notes: notes, repair: question?.repair,
            call: question?.call))
      ),
      ("stream", true),
      ("stream_options", ["include_usage": true]),
    ]
    let taken = order.conversation.parameters.filter { parameter in
      order.writesAnswer
        ? !ownParameters.contains(parameter.name)
        : samplingParameters.contains(parameter.name)
    }
    // Servers refuse a schema next to tools.
    let replaced: Set<String> =
      question?.call == nil ? [] : ToolContract.members.union(["response_format"])
    var given = Set<String>()
    for parameter in taken
    where !replaced.contains(parameter.name) && !exceeds(parameter, order.task.maxTokens)
      && given.insert(parameter.name).inserted
    {
      members.append((parameter.name, .raw(parameter.json)))
    }
    func add(_ name: String, _ value: JSON) {
      guard !given.contains(name) else { return }
      members.append((name, value))
      composed.added.insert(name)
    }
    let sampling = role.sampling(for: order.task)
    add("temperature", milli(sampling.temperatureMilli))
    add("top_p", milli(sampling.topPMilli))
    // An answer from the conversation alone has no default limit, as if there were no plan. All
    // other outputs have the role's limit by default.
    let isDirect = order.writesAnswer && order.inputs.isEmpty
    let limit = order.task.maxTokens ?? (isDirect ? nil : role.profile.maxTokens)
    if let limit, !given.contains("max_completion_tokens") {
      // A client that sends `max_completion_tokens` may use a model that accepts no other name.
      let isNewer = order.conversation.parameters.contains { $0.name == "max_completion_tokens" }
      add(isNewer ? "max_completion_tokens" : "max_tokens", .integer(limit))
      composed.mayDropLimit = order.task.maxTokens == nil && !given.contains("max_tokens")
    }
    if question?.hasFormat ?? true, !order.writesAnswer,
      let format = ResponseFormat.json(for: order.task.contract)
    {
      add("response_format", format)
    }
    if let call = question?.call, question?.hasFormat == true {
      add("response_format", ResponseFormat.json(for: call))
    }
    // Servers differ in the size of seeds; 31 bits work everywhere.
    add("seed", .integer(Int(order.task.seed & 0x7FFF_FFFF)))
    composed.body = JSON.object(members).encoded
    return composed
  }

  /// Whether the parameter is a token limit of the client that allows more than `limit`, the limit
  /// of the task. Values below 1 mean no limit, so they exceed it.
  private static func exceeds(_ parameter: Conversation.Parameter, _ limit: Int?) -> Bool {
    guard let limit, ["max_tokens", "max_completion_tokens"].contains(parameter.name),
      let document = try? JSONDocument(validating: parameter.json),
      let wanted = document.integer(document.root)
    else { return false }
    return wanted > limit || wanted < 1
  }

  private static func milli(_ value: Int) -> JSON {
    let digits = String(value % 1_000)
    let padded = String(repeating: "0", count: 3 - digits.utf8.count) + digits
    return .raw(Array("\(value / 1_000).\(padded)".utf8))
  }

  /// The client's messages, preceded by the role's prompt and followed by the task's instruction.
  ///
  /// Many chat templates accept one system message, at the start, and require user and assistant to
  /// alternate. So the prompt is added to the client's system message (or developer message, in
  /// newer clients), and the instruction to the last message if it is the user's.
  static func messages(
    for order: TaskOrder, role: Role, consensus: Consensus? = nil, notes: [String] = [],
    repair: TaskDialogue.Repair? = nil, call: ToolContract? = nil
  ) throws(Failure) -> [UInt8] {
    var messages = order.task.readsConversation ? try conversationMessages(order.conversation) : []
    let prompt = role.prompt(for: order.task)
    if let first = messages.first,
      let joined = joining(first, prompt, as: ["system", "developer"])
    {
      messages[0] = joined
    } else {
      messages.insert(message("system", prompt), at: 0)
    }
    let closing = closingText(order, consensus: consensus, notes: notes)
    if !closing.isEmpty { append(closing, to: &messages) }
    // A model that receives only its role invents a task.
    guard messages.count > 1 || order.task.readsConversation else {
      throw Failure(
        .invalidRequest,
        "the task reads no conversation, and has neither an instruction nor inputs")
    }
    if let call {
      if let repair, !repair.output.allSatisfy(\.isWhitespace) {
        let earlierText = Fence.withoutControlTokens(repair.output.cut(toBytes: repairedBytes))
        messages.append(message("assistant", earlierText))
      }
      append(ResponseFormat.instruction(for: call, after: repair?.mistake ?? ""), to: &messages)
    } else if let repair {
      let earlierText = Fence.withoutControlTokens(repair.output.cut(toBytes: repairedBytes))
      messages.append(message("assistant", earlierText))
      messages.append(
        message("user", ResponseFormat.correction(repair.mistake, order.task.contract)))
    }
    return JSON.array(messages.map { .raw($0) }).encoded
  }

  /// Appends text to the last message if it is the user's, otherwise as a new message.
  private static func append(_ text: String, to messages: inout [[UInt8]]) {
    if let last = messages.last, let joined = joining(last, text, as: ["user"]) {
      messages[messages.count - 1] = joined
    } else {
      messages.append(message("user", text))
    }
  }

  /// The client's messages, byte for byte.
  private static func conversationMessages(_ conversation: Conversation) throws(Failure)
    -> [[UInt8]]
  {
    let document: JSONDocument
    do {
      document = try JSONDocument(validating: conversation.messagesJSON)
    } catch {
      throw Failure(.invalidRequest, "messages is not valid JSON: \(error)")
    }
    guard document.root.kind == .array else {
      throw Failure(.invalidRequest, "messages must be an array")
    }
    let messages = document.elements(of: document.root).map { Array(document.slice($0)) }
    guard !messages.isEmpty else { throw Failure(.invalidRequest, "messages is empty") }
    return messages
  }

  /// The instruction, and the inputs under the names that the instruction uses.
  /// Task ids and roles are left out, because models repeat them. The output format comes last,
  /// because a small model follows the last text that it read. Texts by models are fenced, and the
  /// fence is explained once.
  static func closingText(
    _ order: TaskOrder, consensus: Consensus? = nil, notes: [String] = []
  ) -> String {
    let task = order.task
    let fence = Fence(seed: task.seed)
    let isFenced =
      !order.inputs.isEmpty || (notes + [task.instruction]).contains(where: fence.isUsed)
    var parts = notes + [task.instruction, isFenced ? fence.explanation : ""]
    parts.append(agreementText(order, consensus))
    parts += order.inputs.map { "\(Fence.name($0.name)):\n\(fence.enclosing($0.text))" }
    if !order.writesAnswer { parts.append(ResponseFormat.instruction(for: task.contract)) }
    return parts.filter { !$0.isEmpty }.joined(separator: "\n\n")
  }

  /// The sentence of the prompt about how far the inputs agree.
  public static func agreementText(_ order: TaskOrder, _ consensus: Consensus?) -> String {
    (consensus ?? Consensus(weighed: order.inputs))?.text ?? ""
  }

  private static func message(_ role: String, _ text: String) -> [UInt8] {
    JSON.object([("role", .string(role)), ("content", .string(text))]).encoded
  }

  /// Adds text to a message's content. `nil` means that the message has another role or no text.
  private static func joining(
    _ message: [UInt8], _ text: String, as roles: [String]
  ) -> [UInt8]? {
    guard let scanner = try? JSONObjectScanner(message), let given = scanner["role"],
      let role = scanner.document.string(given), roles.contains(role),
      let content = scanner["content"]
    else { return nil }
    switch content.kind {
    case .string:
      guard let earlierText = scanner.document.string(content) else { return nil }
      let joined = earlierText.isEmpty ? text : "\(earlierText)\n\n\(text)"
      return scanner.edited(replacing: [(name: "content", json: JSON.quoted(joined))])
    case .array:
      let parts = scanner.document.elements(of: content).map { part in
        JSON.raw(Array(scanner.document.slice(part)))
      }
      let part: JSON = ["type": "text", "text": .string(text)]
      return scanner.edited(
        replacing: [(name: "content", json: JSON.array(parts + [part]).encoded)])
    default: return nil
    }
  }
}
