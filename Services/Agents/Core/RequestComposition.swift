public import ClusterModel
import Text

/// Writes the request that an agent sends to a host. The client's messages and parameters go in as
/// the bytes they came in.
public enum RequestComposition {
  /// What a task that is not the sink takes from the client: how to sample, not what to produce.
  static let samplingParameters: Set<String> = [
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
    "repeat_penalty", "logit_bias", "user",
  ]

  /// What the sink does not take: we say it ourselves, or it means the whole plan.
  static let ownParameters: Set<String> = [
    "model", "messages", "stream", "stream_options", "n", "tutti",
  ]

  /// The body of a streamed chat completion, without `model`, which follows from the host.
  /// - Throws: `invalidRequest` when the conversation is not an array of messages.
  public static func body(for order: TaskOrder, role: Role) throws(Failure) -> [UInt8] {
    var members: [(String, JSON)] = [
      ("messages", .raw(try messages(for: order, role: role))),
      ("stream", true),
      ("stream_options", ["include_usage": true]),
    ]
    let taken = order.conversation.parameters.filter { parameter in
      order.isSink
        ? !ownParameters.contains(parameter.name)
        : samplingParameters.contains(parameter.name)
    }
    var given = Set<String>()
    for parameter in taken
    where !exceeds(parameter, order.task.maxTokens) && given.insert(parameter.name).inserted {
      members.append((parameter.name, .raw(parameter.json)))
    }
    func add(_ name: String, _ value: JSON) {
      if !given.contains(name) { members.append((name, value)) }
    }
    let profile = role.profile
    add("temperature", milli(order.task.temperatureMilli ?? profile.temperatureMilli))
    add("top_p", milli(profile.topPMilli))
    if !given.contains("max_completion_tokens") {
      add("max_tokens", .integer(order.task.maxTokens ?? profile.maxTokens))
    }
    // Servers differ in how many bits they take; 31 fit everywhere.
    add("seed", .integer(Int(order.task.seed & 0x7FFF_FFFF)))
    return JSON.object(members).encoded
  }

  /// Whether it is a client's limit on tokens above the task's own, which is a share of the client's
  /// budget: the smaller one holds.
  private static func exceeds(_ parameter: Conversation.Parameter, _ limit: Int?) -> Bool {
    guard let limit, ["max_tokens", "max_completion_tokens"].contains(parameter.name),
      let document = try? JSONDocument(validating: parameter.json),
      let wanted = document.integer(document.root)
    else { return false }
    return wanted > limit
  }

  private static func milli(_ value: Int) -> JSON {
    let digits = String(value % 1_000)
    let padded = String(repeating: "0", count: 3 - digits.utf8.count) + digits
    return .raw(Array("\(value / 1_000).\(padded)".utf8))
  }

  /// The client's messages with the role's prompt before them and the task's instruction after.
  ///
  /// Many chat templates take one system message, at the start, and insist that user and assistant
  /// take turns. So the prompt joins the client's system message (or developer message, as newer
  /// clients call it), and the instruction joins the last message if that is the user's.
  static func messages(for order: TaskOrder, role: Role) throws(Failure) -> [UInt8] {
    let document: JSONDocument
    do {
      document = try JSONDocument(validating: order.conversation.messagesJSON)
    } catch {
      throw Failure(.invalidRequest, "messages is not valid JSON: \(error)")
    }
    guard document.root.kind == .array else {
      throw Failure(.invalidRequest, "messages must be an array")
    }
    var messages = document.elements(of: document.root).map { Array(document.slice($0)) }
    guard !messages.isEmpty else { throw Failure(.invalidRequest, "messages is empty") }
    if let first = messages.first,
      let joined = joining(first, role.systemPrompt, as: ["system", "developer"])
    {
      messages[0] = joined
    } else {
      messages.insert(message("system", role.systemPrompt), at: 0)
    }
    let closing = closingText(order)
    if !closing.isEmpty {
      if let joined = joining(messages[messages.count - 1], closing, as: ["user"]) {
        messages[messages.count - 1] = joined
      } else {
        messages.append(message("user", closing))
      }
    }
    return JSON.array(messages.map { .raw($0) }).encoded
  }

  /// The instruction and the inputs, under the names the instruction knows them by. Task ids and
  /// roles stay out: a model repeats what it reads.
  static func closingText(_ order: TaskOrder) -> String {
    var parts: [String] = []
    if !order.task.instruction.isEmpty { parts.append(order.task.instruction) }
    for input in order.inputs { parts.append("\(input.name):\n\(input.text)") }
    return parts.joined(separator: "\n\n")
  }

  private static func message(_ role: String, _ text: String) -> [UInt8] {
    JSON.object([("role", .string(role)), ("content", .string(text))]).encoded
  }

  /// The message with text added to its content; nil if it is another role's or cannot take text.
  private static func joining(
    _ message: [UInt8], _ text: String, as roles: [String]
  ) -> [UInt8]? {
    guard let scanner = try? JSONObjectScanner(message), let given = scanner["role"],
      let role = scanner.document.string(given), roles.contains(role),
      let content = scanner["content"]
    else { return nil }
    switch content.kind {
    case .string:
      guard let said = scanner.document.string(content) else { return nil }
      let joined = said.isEmpty ? text : "\(said)\n\n\(text)"
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
