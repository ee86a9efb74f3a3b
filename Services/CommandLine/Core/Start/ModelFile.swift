import Limits

/// A GGUF file that `tutti up --model` serves, and the name by which clients ask for it.
public struct ModelFile: Hashable, Sendable {
  public var name: String
  public var path: String
  /// Size of the file.
  public var bytes: Int64

  public init(name: String, path: String, bytes: Int64) {
    self.name = name
    self.path = path
    self.bytes = bytes
  }

  /// Result of a look at a path.
  public enum Finding: Hashable, Sendable {
    case missing
    /// A directory, a device, or a file that this user may not read.
    case unreadable
    /// A file with its size and its first bytes.
    case file(bytes: Int64, start: [UInt8])
  }

  /// First bytes of every GGUF file.
  static let magic = Array("GGUF".utf8)
  /// Number of first bytes that `Finding.file` needs.
  public static let startBytes = 4

  /// Names that begin so are patterns.
  private static let reserved = "tutti/"

  /// Reads values of `--model`: `FILE` or `NAME=FILE`. Without a name, the name is that of the file
  /// without `.gguf`.
  /// - Parameter find: looks at a path.
  /// - Returns: the files, and a sentence for each mistake.
  public static func read(
    _ arguments: [String], find: (String) -> Finding
  ) -> (files: [ModelFile], mistakes: [String]) {
    var files: [ModelFile] = []
    var mistakes: [String] = []
    for argument in arguments {
      let (name, path, finding) = parse(argument, find: find)
      switch finding {
      case .missing: mistakes.append("“\(path)” does not exist")
      case .unreadable: mistakes.append("“\(path)” is not a file that can be read")
      case .file(_, let start) where !start.starts(with: magic):
        mistakes.append("“\(path)” is not a GGUF file")
      case .file(let bytes, _):
        if let reason = flaw(of: name) {
          mistakes.append("“\(path)” cannot have the name “\(name)”: \(reason)")
        } else if let other = files.first(where: { $0.name == name }) {
          mistakes.append(
            "“\(other.path)” and “\(path)” have the same name “\(name)”; name one with NAME=FILE")
        } else {
          files.append(ModelFile(name: name, path: path, bytes: bytes))
        }
      }
    }
    return (files, mistakes)
  }

  /// A file's own name may have an equals sign, so the whole argument is tried as a path first.
  private static func parse(
    _ argument: String, find: (String) -> Finding
  ) -> (name: String, path: String, Finding) {
    let whole = find(argument)
    guard whole == .missing, let sign = argument.firstIndex(of: "=") else {
      return (defaultName(of: argument), argument, whole)
    }
    let path = String(argument[argument.index(after: sign)...])
    return (String(argument[..<sign]), path, find(path))
  }

  private static func defaultName(of path: String) -> String {
    let file = path.split(separator: "/").last.map(String.init) ?? ""
    return file.lowercased().hasSuffix(".gguf") ? String(file.dropLast(5)) : file
  }

  private static func flaw(of name: String) -> String? {
    if name.isEmpty { return "it is empty" }
    if name.hasPrefix(reserved) { return "names that begin with \(reserved) are patterns" }
    let limit = Limits.modelNameBytes.value
    return name.utf8.count > limit ? "it is longer than \(limit) bytes" : nil
  }
}
