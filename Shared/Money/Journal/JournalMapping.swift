internal import Files
internal import Foundation
internal import Synchronization

/// The journal's file in the memory of this process.
///
/// A store to the mapping is in the kernel's page cache as soon as it is executed. So it outlives
/// the process without a system call, but it does not outlive a power failure.
///
/// @unchecked: `base` and `count` never change, and the words are only accessed atomically.
/// @safe: every index is checked, and the pointer does not leave the class.
@safe final class JournalMapping: @unchecked Sendable {
  private let base: UnsafeMutablePointer<Atomic<UInt64>>
  private let count: Int

  /// - Parameter bytes: size of the file. Its blocks must be allocated, because a store to a hole
  ///   on a full disk would end the process.
  init(_ path: String, bytes: Int) throws(FileRefused) {
    let file = unsafe open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC)
    guard file >= 0 else {
      throw FileRefused("Cannot open \(path) (\(Self.lastError)).")
    }
    defer { close(file) }
    var facts = stat()
    guard unsafe fstat(file, &facts) == 0, facts.st_size == off_t(bytes) else {
      throw FileRefused("Another program changed \(path) while it was opened; stop that program.")
    }
    guard
      let memory = unsafe mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
      unsafe memory != MAP_FAILED
    else { throw FileRefused("Cannot map \(path) (\(Self.lastError)).") }
    count = bytes / MemoryLayout<UInt64>.size
    unsafe base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: count)
  }

  deinit { unsafe munmap(base, count * MemoryLayout<UInt64>.size) }

  func store(_ words: [UInt64], at first: Int) {
    var index = first
    for word in words {
      store(word, at: index)
      index += 1
    }
  }

  /// Writes a slot's progress over the older of its two copies.
  func publish(_ progress: SlotProgress, slot: Int) {
    // No other process reads the file while this process lives, so only the order of this thread's
    // stores matters. The fence keeps the compiler from moving these stores before earlier ones.
    // Earlier stores write the other copy, or texts that this copy refers to.
    atomicMemoryFence(ordering: .releasing)
    let copy = SlotLayout.progress[Int(progress.sequence & 1)]
    let first = JournalImage.firstWord(ofSlot: slot) + copy
    for index in 0..<SlotLayout.progressWords { store(progress.words[index], at: first + index) }
  }

  private func store(_ word: UInt64, at index: Int) {
    precondition(index < count, "word \(index) of \(count)")
    unsafe base[index].store(word.littleEndian, ordering: .relaxed)
  }

  private static var lastError: String { unsafe String(cString: strerror(errno)) }
}

/// Lock on a journal's path. Without the lock, two processes could write the same slots.
///
/// The lock has a file of its own, because the journal's file is replaced at each start. The kernel
/// releases the lock when the process ends for any reason.
final class JournalLock: Sendable {
  private let descriptor: CInt

  init(_ journal: String) throws(FileRefused) {
    let path = journal + ".lock"
    try PrivateFile.check(path)
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw FileRefused(
        "Cannot open \(path) (\(unsafe String(cString: strerror(errno)))); check its directory.")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw FileRefused(
        "Another process uses the billing journal \(journal); stop it, or choose another data "
          + "directory.")
    }
  }

  deinit { close(descriptor) }
}
