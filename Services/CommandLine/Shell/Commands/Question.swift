import ArgumentParser
import ClusterModel
import CommandLineCore
import Files
import Foundation

/// The question of a command: its argument, standard input and files.
struct QuestionOptions: ParsableArguments {
  @Option(
    name: .customLong("file"),
    help: ArgumentHelp(
      "A text file to append to the question, under its name. May be repeated.",
      valueName: "path"), completion: .file())
  var files: [String] = []

  @Flag(
    name: .customLong("no-stdin"),
    help: "Do not read standard input, for example in a loop that reads it.")
  var excludesStandardInput = false

  @Argument(
    help: ArgumentHelp(
      "The question. A pipe or a file on standard input is appended to it; - reads it from "
        + "standard input alone."))
  var prompt: String?

  func validate() throws {
    if excludesStandardInput, prompt == PromptInput.placeholder {
      throw ValidationError("--no-stdin and the question - contradict each other")
    }
  }

  /// Reads standard input and the files, if they belong to the question.
  func text() throws(ProcessFailure) -> String {
    let isRead = PromptInput.readsStandardInput(
      argument: prompt, source: StandardInput.source, isExcluded: excludesStandardInput)
    return try PromptInput.text(
      argument: prompt, standardInput: isRead ? StandardInput.text() : nil,
      files: TextFile.read(files, option: "--file").map { ($0.name, $0.text) })
  }
}

/// Standard input as a part of a question.
enum StandardInput {
  /// Time without data after which the user learns that the command waits.
  private static let patienceMilliseconds: CInt = 2_000

  static var source: PromptInput.Source {
    if isatty(0) == 1 { return .terminal }
    let file = OpenFile(descriptor: 0)
    return file.isPipe ? .pipe : file.isPlainFile ? .file : .other
  }

  static func text() throws(ProcessFailure) -> String {
    if source == .pipe, !hasData(within: patienceMilliseconds) {
      Terminal.progress("waiting for standard input; --no-stdin leaves it out")
    }
    let limit = PromptInput.maximumBytes
    var data = Data()
    do {
      // A pipe returns its contents in parts.
      while data.count <= limit,
        let part = try FileHandle.standardInput.read(upToCount: limit + 1 - data.count),
        !part.isEmpty
      {
        data += part
      }
    } catch {
      throw ProcessFailure(
        .failed, "standard input cannot be read (\(ErrorSentence.of(file: error)))")
    }
    guard data.count <= limit else {
      throw ProcessFailure(.usage, "standard input is longer than \(limit >> 20) MiB")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw ProcessFailure(.usage, "standard input is not UTF-8 text")
    }
    return text
  }

  /// Whether standard input has data, or has ended, within the time.
  private static func hasData(within milliseconds: CInt) -> Bool {
    var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, milliseconds) != 0
  }
}

/// Text files that belong to a question.
enum TextFile {
  /// Reads files. A file's name is the last part of its path, or the whole path if an earlier file
  /// has that name.
  ///
  /// - Parameter option: the option that names the files, for messages.
  static func read(
    _ paths: [String], option: String
  ) throws(ProcessFailure) -> [AskBody.Document] {
    var names: Set<String> = []
    var documents: [AskBody.Document] = []
    for path in paths {
      let last = URL(fileURLWithPath: path).lastPathComponent
      let name = names.insert(last).inserted ? last : path
      documents.append(AskBody.Document(name: name, text: try text(path, option)))
    }
    return documents
  }

  private static func text(_ path: String, _ option: String) throws(ProcessFailure) -> String {
    let data = try bytes(path, atMost: PromptInput.maximumBytes, option)
    guard let text = String(data: data, encoding: .utf8) else {
      throw ProcessFailure(
        .usage, "\(option): \(path) is not UTF-8 text; send the text that is in it")
    }
    return text
  }

  static func bytes(
    _ path: String, atMost limit: Int, _ option: String
  ) throws(ProcessFailure) -> Data {
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw ProcessFailure(.usage, "\(option): \(path) cannot be read")
    }
    defer { try? file.close() }
    guard let data = try? file.read(upToCount: limit + 1) ?? Data() else {
      throw ProcessFailure(.usage, "\(option): \(path) is not a readable file")
    }
    guard data.count <= limit else {
      throw ProcessFailure(.usage, "\(option): \(path) is longer than \(limit >> 20) MiB")
    }
    return data
  }
}

/// Images that belong to a question.
enum ImageFile {
  /// Maximum bytes of all images of a question. As base64, they and the question fit the gateway's
  /// limit of a body, 12 MiB.
  private static let maximumBytes = 8 << 20

  /// Reads images as parts of a message.
  ///
  /// - Parameter places: paths of files, or URLs, which are sent as they are.
  static func parts(_ places: [String]) throws(ProcessFailure) -> [AskBody.Part] {
    var left = maximumBytes
    var parts: [AskBody.Part] = []
    for place in places {
      if ["https://", "http://", "data:"].contains(where: place.hasPrefix) {
        parts.append(.image(url: place))
        continue
      }
      let data = try TextFile.bytes(place, atMost: maximumBytes, "--image")
      left -= data.count
      guard left >= 0 else {
        throw ProcessFailure(
          .usage, "--image: the images have more than \(maximumBytes >> 20) MiB together")
      }
      guard let type = ImageType.mediaType(of: data) else {
        throw ProcessFailure(
          .usage, "--image: \(place) is no image in the format \(ImageType.names)")
      }
      parts.append(.image(url: "data:\(type);base64,\(data.base64EncodedString())"))
    }
    return parts
  }
}
