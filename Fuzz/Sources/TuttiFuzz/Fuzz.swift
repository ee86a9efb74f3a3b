import CFuzzer
import Foundation
import FuzzEntries

/// Runs libFuzzer on the entry named by `TUTTI_FUZZ_ENTRY`; arguments go to libFuzzer.
@main
struct Fuzz {
  /// Set once, before libFuzzer makes its first call.
  nonisolated(unsafe) static var entry = FuzzEntry.json

  static func main() {
    let name = ProcessInfo.processInfo.environment["TUTTI_FUZZ_ENTRY"] ?? ""
    guard let entry = FuzzEntry(rawValue: name) else {
      let names = FuzzEntry.allCases.map(\.rawValue).joined(separator: ", ")
      FileHandle.standardError.write(Data("TUTTI_FUZZ_ENTRY is one of \(names)\n".utf8))
      exit(64)
    }
    Self.entry = entry
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    exit(
      LLVMFuzzerRunDriver(&count, &arguments) { data, size in
        Fuzz.entry.run([UInt8](UnsafeBufferPointer(start: data, count: size)))
        return 0
      })
  }
}
