import ClusterModel
import Files
import Foundation
import Store
import Testing

@Suite("Files for one owner")
struct PrivateFileTests {
  private func refusal(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch {
      return (error as? FileRefused)?.message ?? (error as? Failure)?.message ?? "\(error)"
    }
  }

  private func mode(_ path: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
  }

  @Test("a file is created for its owner alone, and a taken name is left as it is")
  func create() throws {
    let scratch = try Scratch()
    let path = scratch.path("token")
    #expect(try PrivateFile.read(path, atMost: 10) == nil)
    #expect(try PrivateFile.create(path, Array("one".utf8)))
    #expect(try mode(path) == 0o600)
    #expect(try !PrivateFile.create(path, Array("two".utf8)))
    #expect(try PrivateFile.read(path, atMost: 10) == Array("one".utf8))
    #expect(refusal { _ = try PrivateFile.read(path, atMost: 2) }?.contains("2 bytes") == true)
    try PrivateFile.replace(path, with: Array("three".utf8))
    #expect(try PrivateFile.read(path, atMost: 10) == Array("three".utf8))
    #expect(try mode(path) == 0o600)
  }

  @Test("a file is written in slices, and read whatever its limit is")
  func slices() throws {
    let scratch = try Scratch()
    let path = scratch.path("file")
    var slices = ["one ", "", "two ", "three"].makeIterator()
    try PrivateFile.replace(path) { slices.next().map { Array($0.utf8) } }
    let text = Array("one two three".utf8)
    // The memory for a file does not depend on the limit.
    for limit in [text.count, text.count + 1, 1 << 60] {
      #expect(try PrivateFile.read(path, atMost: limit) == text)
    }
    #expect(try mode(path) == 0o600)
    try PrivateFile.replace(path) { nil }
    #expect(try PrivateFile.read(path, atMost: 0) == [])
  }

  @Test("a link is neither written through nor read, wherever it leads")
  func links() throws {
    let scratch = try Scratch()
    let target = scratch.path("target")
    let link = scratch.path("link")
    for exists in [false, true] {
      if exists { try Data("theirs".utf8).write(to: URL(filePath: target)) }
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
      #expect(try !PrivateFile.create(link, Array("ours".utf8)))
      #expect(refusal { _ = try PrivateFile.read(link, atMost: 10) }?.contains("link") == true)
      #expect(refusal { try PrivateFile.check(link) }?.contains("link") == true)
      #expect(FileManager.default.fileExists(atPath: target) == exists)
      try FileManager.default.removeItem(atPath: link)
    }
  }

  @Test("a file that others may use, or that is none, is refused with what to do")
  func modes() throws {
    let scratch = try Scratch()
    let path = scratch.path("file")
    #expect(try PrivateFile.create(path))
    for (mode, mayBeRead, refused) in [
      (0o644, false, true), (0o644, true, false), (0o620, true, true), (0o602, true, true),
      (0o600, false, false),
    ] {
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      let message = refusal {
        try PrivateFile.check(path, others: mayBeRead ? .mayRead : .nothing)
      }
      #expect((message != nil) == refused, "\(mode)")
      #expect(message?.contains("chmod 600 \(path)") ?? !refused)
    }
    let folder = scratch.path("folder")
    try PrivateDirectory.prepare(folder)
    #expect(try mode(folder) == 0o700)
    #expect(refusal { try PrivateFile.check(folder) }?.contains("not a plain file") == true)
  }

  @Test("a directory that others may write is refused with what to do")
  func directory() throws {
    let scratch = try Scratch()
    let folder = scratch.path("data")
    for (mode, refused) in [(0o700, false), (0o755, false), (0o775, true), (0o1777, true)] {
      try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: folder)
      let message = refusal { try PrivateDirectory.prepare(folder) }
      #expect((message != nil) == refused, "\(mode)")
      #expect(message?.contains("chmod go-w \(folder)") ?? !refused)
    }
  }

  @Test(
    "a store whose file or companion is a link is not opened",
    arguments: ["", "-wal", "-shm", "-journal"])
  func storeLinks(suffix: String) throws {
    let scratch = try Scratch()
    let path = scratch.path("registry.sqlite")
    let target = scratch.path("target")
    try FileManager.default.createSymbolicLink(
      atPath: path + suffix, withDestinationPath: target)
    for open in [
      { _ = try HostStore(path: path) }, { _ = try SQLiteLogStore(path: path) },
    ] as [() throws -> Void] {
      #expect(refusal(open)?.contains("symbolic link") == true)
    }
    #expect(!FileManager.default.fileExists(atPath: target))
  }
}
