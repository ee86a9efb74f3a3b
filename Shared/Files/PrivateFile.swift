import Foundation

/// Reason why a file or directory is refused. The message is a sentence with the path and the
/// remedy.
public struct FileRefused: Error, Hashable, Sendable, CustomStringConvertible {
  public var message: String

  public init(_ message: String) { self.message = message }

  public var description: String { message }
}

/// Files that only their owner may write and, unless the caller permits it, only their owner may
/// read.
///
/// Links are refused, because a link could redirect a read or a write to another file.
public enum PrivateFile {
  /// Access that other users may have to a file.
  public enum Others: Sendable {
    case nothing
    case mayRead

    fileprivate var refusedBits: UInt32 { self == .nothing ? 0o077 : 0o022 }
  }

  /// Bytes by which a buffer grows for a file that grows while it is read.
  private static let growthBytes = 64 << 10

  /// Creates the file with mode 0600. On return, its contents are on the disk, because they may be
  /// a secret that other files depend on.
  /// - Returns: `false` if a file with this path exists. It stays unchanged.
  public static func create(
    _ path: String, _ contents: [UInt8] = []
  ) throws(FileRefused) -> Bool {
    var rest = contents.isEmpty ? nil : contents
    return try create(path) { rest.take() }
  }

  private static func create(
    _ path: String, slices next: () -> [UInt8]?
  ) throws(FileRefused) -> Bool {
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let file = unsafe open(path, flags, 0o600)
    guard file >= 0 else {
      let code = errno
      // If the path is a link, the call fails with EEXIST, too, whatever the link's target is.
      if code == EEXIST { return false }
      throw FileRefused("Cannot create \(path) (\(text(code))); check its directory.")
    }
    defer { close(file) }
    var isWritten = true
    var isEmpty = true
    while isWritten, let slice = next() {
      isWritten = write(slice, to: file)
      isEmpty = false
    }
    guard isWritten, isEmpty || fsync(file) == 0 else {
      let code = errno
      unsafe unlink(path)
      throw FileRefused("Cannot write \(path) (\(text(code))).")
    }
    return true
  }

  /// Refuses a file that another user owns, or that gives other users more access than `others`.
  /// Refuses links, and everything else that is not a plain file.
  /// - Returns: `false` if the file does not exist.
  @discardableResult
  public static func check(
    _ path: String, others: Others = .nothing
  ) throws(FileRefused) -> Bool {
    var facts = stat()
    guard unsafe lstat(path, &facts) == 0 else {
      let code = errno
      if code == ENOENT { return false }
      throw FileRefused("Cannot look at \(path) (\(text(code))).")
    }
    try check(facts, path, others)
    return true
  }

  /// Reads a file after the same checks as `check`.
  /// - Returns: `nil` if the file does not exist.
  public static func read(
    _ path: String, atMost limit: Int, others: Others = .nothing
  ) throws(FileRefused) -> [UInt8]? {
    // O_NONBLOCK keeps a named pipe from blocking the process before the pipe is refused.
    let file = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      let code = errno
      if code == ENOENT { return nil }
      if code == ELOOP { throw isLink(path) }
      throw FileRefused("Cannot read \(path) (\(text(code))).")
    }
    defer { close(file) }
    var facts = stat()
    guard unsafe fstat(file, &facts) == 0 else {
      throw FileRefused("Cannot look at \(path) (\(text(errno))).")
    }
    try check(facts, path, others)
    guard facts.st_size <= off_t(limit) else {
      throw FileRefused("\(path) is larger than \(limit) bytes; move it away.")
    }
    // One byte more than the file has, so that the last call reads nothing.
    var bytes = [UInt8](repeating: 0, count: min(limit, Int(facts.st_size) + 1))
    var count = 0
    while count < limit {
      if count == bytes.count {
        // The file has grown since.
        bytes += [UInt8](repeating: 0, count: min(limit - count, growthBytes))
      }
      let room = bytes.count - count
      let more = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe Foundation.read(file, buffer.baseAddress! + count, room)
      }
      if more < 0, errno == EINTR { continue }
      guard more >= 0 else { throw FileRefused("Cannot read \(path) (\(text(errno))).") }
      if more == 0 { break }
      count += more
    }
    return Array(bytes.prefix(count))
  }

  /// Replaces the file atomically. A reader gets either the old contents or the new contents.
  public static func replace(_ path: String, with contents: [UInt8]) throws(FileRefused) {
    var rest = contents.isEmpty ? nil : contents
    try replace(path) { rest.take() }
  }

  /// Replaces the file atomically by a text of which only one slice is in memory.
  /// - Parameter next: returns the next slice, or `nil` after the last one.
  public static func replace(
    _ path: String, slices next: () -> [UInt8]?
  ) throws(FileRefused) {
    let new = "\(path).\(getpid())"
    unsafe unlink(new)
    guard try create(new, slices: next) else {
      throw FileRefused("Cannot create \(new): the name is taken.")
    }
    guard unsafe rename(new, path) == 0 else {
      let code = errno
      unsafe unlink(new)
      throw FileRefused("Cannot replace \(path) (\(text(code))).")
    }
  }

  private static func check(
    _ facts: stat, _ path: String, _ others: Others
  ) throws(FileRefused) {
    let kind = facts.st_mode & S_IFMT
    guard kind != S_IFLNK else { throw isLink(path) }
    guard kind == S_IFREG else {
      throw FileRefused("\(path) is not a plain file; move it away.")
    }
    guard facts.st_uid == geteuid() else {
      throw FileRefused(
        "\(path) belongs to user \(facts.st_uid), not to user \(geteuid()) who runs this; "
          + "move it away or correct its owner with chown.")
    }
    guard UInt32(facts.st_mode) & others.refusedBits == 0 else {
      throw FileRefused(
        "\(path) may be \(others == .nothing ? "used" : "written") by other users; "
          + "run `chmod 600 \(path)`.")
    }
  }

  private static func isLink(_ path: String) -> FileRefused {
    FileRefused("\(path) is a symbolic link, which is not followed; move it away.")
  }

  private static func write(_ bytes: [UInt8], to file: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { buffer in
        unsafe Foundation.write(file, buffer.baseAddress, buffer.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  fileprivate static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}

/// A directory whose files only its owner can replace.
public enum PrivateDirectory {
  /// Creates the directory with mode 0700 if it is absent. Refuses a directory that another user
  /// owns or that other users may write.
  public static func prepare(_ path: String) throws(FileRefused) {
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
      throw FileRefused(
        "The directory \(path) cannot be created (\((cause ?? error).localizedDescription)).")
    }
    // Links are followed. A refusal would not help, because a user who may place a link here may
    // also move the directory.
    var facts = stat()
    guard unsafe stat(path, &facts) == 0 else {
      throw FileRefused("Cannot look at \(path) (\(PrivateFile.text(errno))).")
    }
    guard facts.st_uid == geteuid() else {
      throw FileRefused(
        "The directory \(path) belongs to user \(facts.st_uid), not to user \(geteuid()) who runs "
          + "this; correct its owner with chown, or name another directory.")
    }
    guard facts.st_mode & 0o022 == 0 else {
      throw FileRefused(
        "Other users may write in the directory \(path); run `chmod go-w \(path)`, or name another "
          + "directory.")
    }
  }
}
