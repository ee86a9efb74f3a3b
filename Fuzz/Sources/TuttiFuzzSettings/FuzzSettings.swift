import CFuzzer
import Foundation
import SettingsFuzzEntry

/// Runs libFuzzer on the settings file; arguments go to libFuzzer.
@main
struct FuzzSettings {
  static func main() {
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    exit(
      LLVMFuzzerRunDriver(&count, &arguments) { data, size in
        SettingsFuzzEntry.run([UInt8](UnsafeBufferPointer(start: data, count: size)))
        return 0
      })
  }
}
