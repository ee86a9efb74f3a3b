internal import Files
internal import Foundation
internal import Limits

/// Contents of the file that the predecessor left.
struct JournalFile {
  var entries: [BillingEntry] = []
  var notice: String?

  /// Reads the file. If the file is damaged, it is kept under another name.
  static func read(_ path: String) throws(FileRefused) -> JournalFile {
    guard try PrivateFile.check(path) else { return JournalFile() }
    var facts = stat()
    guard unsafe lstat(path, &facts) == 0, let size = Int(exactly: facts.st_size),
      size <= Limits.journalReadBytes.value,
      let contents = JournalImage.contents(of: try PrivateFile.read(path, atMost: size) ?? [])
    else {
      let copy = try keep(path)
      return JournalFile(
        notice: "The billing journal \(path) is damaged or of another version; it is kept as "
          + "\(copy). Answers that it held are not billed.")
    }
    guard contents.damagedSlots > 0 else { return JournalFile(entries: contents.entries) }
    let copy = try keep(path)
    return JournalFile(
      entries: contents.entries,
      notice: "\(contents.damagedSlots) of the \(contents.slots) slots of the billing journal "
        + "\(path) are damaged; the file is kept as \(copy). Answers in these slots are not "
        + "billed, the other \(contents.entries.count) are.")
  }

  /// Gives the file a second name. The file keeps this name after a new file has replaced it.
  private static func keep(_ path: String) throws(FileRefused) -> String {
    let names = (1...Limits.journalCopies.value).map { "\(path).damaged-\($0)" }
    for name in names {
      if unsafe link(path, name) == 0 { return name }
      guard errno == EEXIST else { break }
    }
    // All names are taken, or the file system has no hard links. So the file replaces the last
    // copy.
    let last = "\(path).damaged-\(Limits.journalCopies.value)"
    guard unsafe rename(path, last) == 0 else {
      throw FileRefused(
        "\(path) is damaged and cannot be renamed (\(unsafe String(cString: strerror(errno)))); "
          + "move it away.")
    }
    return last
  }
}
