public import ClusterModel
import Text

/// One input of `tutti chat`: a question or a command.
public enum ChatLine: Equatable, Sendable {
  case question(String)
  /// `nil` shows the present model.
  case model(String?)
  case models
  case trace
  case save(String)
  /// `nil` shows the present text, an empty text removes it.
  case system(String?)
  case undo
  case clear
  case help
  case quit
  case empty
  /// A command that is not known or lacks its argument, with the message for the user.
  case mistake(String)

  /// Text of `/help`.
  public static let helpText = """
    /model [NAME]   show or change the model
    /models         list the models
    /system [TEXT]  show or change the instructions before the conversation; - removes them
    /trace          show how the last answer was made
    /undo           remove the last question and its answer
    /clear          begin a new conversation
    /save FILE      save the conversation: FILE.json for --continue, other names as Markdown
    /quit           end; Ctrl-D, too
    \"""             begin or end a question of several lines
    //              begin a question with a slash: //etc is the question /etc
    Ctrl-C stops an answer; its text so far stays in the conversation.
    """

  private static let names = [
    "/model", "/models", "/system", "/trace", "/undo", "/clear", "/save", "/help", "/quit",
  ]

  /// Parses a line without its line end.
  init(_ line: String) {
    let text = line.drop(while: \.isWhitespace)
    guard text.first == "/", !text.hasPrefix("//") else {
      let question = text.first == "/" ? String(text.dropFirst()) : line
      self = question.allSatisfy(\.isWhitespace) ? .empty : .question(question)
      return
    }
    let name = String(text.prefix { !$0.isWhitespace })
    let argument = text.dropFirst(name.count).trimmed
    switch name {
    case "/model": self = .model(argument.isEmpty ? nil : argument)
    case "/models": self = .models
    case "/trace": self = .trace
    case "/save":
      self = argument.isEmpty ? .mistake("/save needs the name of a file") : .save(argument)
    case "/system": self = .system(argument.isEmpty ? nil : argument == "-" ? "" : argument)
    case "/undo": self = .undo
    case "/clear": self = .clear
    case "/help": self = .help
    case "/quit", "/exit": self = .quit
    default:
      let near = NearNames.near(name, among: Self.names).first
      self = .mistake(
        "\(name.cut(toBytes: 40)) is no command; "
          + (near.map { "did you mean \($0)?" } ?? "/help lists the commands"))
    }
  }
}

/// Joins the lines between two `"""` to one question.
public struct ChatInput: Sendable {
  /// Marks the beginning and the end of a question of several lines.
  private static let mark = "\"\"\""
  /// Maximum bytes of one question. A larger one would not fit the conversation.
  public static let maximumBytes = ChatHistory.maximumBytes

  /// The lines so far. `nil` means that no question of several lines is open.
  private var lines: [String]?
  private var bytes = 0

  public init() {}

  public var isInBlock: Bool { lines != nil }

  /// Takes the next line without its line end. `nil` means that a question of several lines
  /// continues.
  public mutating func take(_ line: String) -> ChatLine? {
    if lines == nil {
      guard line.hasPrefix(Self.mark) else { return ChatLine(line) }
      let rest = String(line.dropFirst(Self.mark.count))
      lines = []
      bytes = 0
      return rest.isEmpty ? nil : append(rest)
    }
    return append(line)
  }

  /// Ends the input. Returns the question that was still open.
  public mutating func end() -> ChatLine? {
    isInBlock ? close() : nil
  }

  private mutating func append(_ line: String) -> ChatLine? {
    let isLast = line.hasSuffix(Self.mark)
    let text = isLast ? String(line.dropLast(Self.mark.count)) : line
    bytes += text.utf8.count + 1
    guard bytes <= Self.maximumBytes else {
      lines = nil
      return .mistake("the question is longer than \(Self.maximumBytes >> 20) MiB")
    }
    if !isLast || !text.isEmpty { lines?.append(text) }
    return isLast ? close() : nil
  }

  private mutating func close() -> ChatLine {
    let question = (lines ?? []).joined(separator: "\n")
    lines = nil
    return question.allSatisfy(\.isWhitespace) ? .empty : .question(question)
  }
}

/// Decides if Ctrl-C at the prompt ends the chat: twice within 2 s.
public struct ChatInterrupts: Sendable {
  private static let window = Duration.seconds(2)
  private var last: Instant?

  public init() {}

  /// Takes one Ctrl-C. Returns whether the chat ends.
  public mutating func press(now: Instant) -> Bool {
    defer { last = now }
    return last.map { $0.duration(to: now) <= Self.window } ?? false
  }
}

extension Substring {
  /// The text without white space at its beginning and end.
  fileprivate var trimmed: String {
    var text = drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
