import Foundation

/// An open file, pipe, terminal or socket of this process, identified by its descriptor.
public struct OpenFile: Sendable {
  let descriptor: CInt

  public init(descriptor: CInt) { self.descriptor = descriptor }

  /// Whether both descriptors refer to the same file, pipe, terminal or socket.
  public func isSameFile(as other: OpenFile) -> Bool {
    guard let mine = facts, let theirs = other.facts else { return false }
    return mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino
  }

  public var isPipe: Bool { facts.map { $0.st_mode & S_IFMT == S_IFIFO } ?? false }

  public var isPlainFile: Bool { facts.map { $0.st_mode & S_IFMT == S_IFREG } ?? false }

  private var facts: stat? {
    var facts = stat()
    return unsafe fstat(descriptor, &facts) == 0 ? facts : nil
  }
}
