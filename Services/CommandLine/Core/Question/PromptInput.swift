public import ClusterModel

/// The text of a question, from the command's argument, standard input and files.
public enum PromptInput {
  /// The kind of standard input.
  public enum Source: CaseIterable, Sendable {
    case terminal, pipe, file
    /// For example a socket, or a device such as `/dev/null`.
    case other
  }

  /// Argument that stands for standard input.
  public static let placeholder = "-"

  /// Maximum bytes of a question or of one file. The gateway refuses longer ones.
  public static let maximumBytes = 10 << 20

  /// Whether standard input is a part of the question.
  ///
  /// - Parameter isExcluded: whether the user has excluded it.
  public static func readsStandardInput(
    argument: String?, source: Source, isExcluded: Bool
  ) -> Bool {
    if isExcluded { return false }
    if argument == placeholder { return true }
    return switch source {
    case .pipe, .file: true
    case .terminal, .other: false
    }
  }

  /// Joins the argument, standard input and the files, with an empty line between them.
  ///
  /// - Parameters:
  ///   - standardInput: `nil` means that standard input was not read.
  ///   - files: names and contents.
  public static func text(
    argument: String?, standardInput: String?, files: [(name: String, text: String)] = []
  ) throws(ProcessFailure) -> String {
    var parts = [argument == placeholder ? nil : argument, standardInput].compactMap { $0 }
      .filter { !$0.allSatisfy(\.isWhitespace) }
    parts += files.map { "\($0.name):\n\n\($0.text)" }
    guard !parts.isEmpty else {
      throw ProcessFailure(
        .usage, "the question is empty; say what to ask, for example \"Why is the sky blue?\"")
    }
    let text = parts.joined(separator: "\n\n")
    guard text.utf8.count <= maximumBytes else {
      throw ProcessFailure(
        .usage,
        "the question with standard input and files is longer than \(maximumBytes >> 20) MiB")
    }
    return text
  }
}
