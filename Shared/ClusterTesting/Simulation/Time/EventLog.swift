import ClusterModel

/// Readable log of one run, and a digest over everything that happened.
final class EventLog {
  /// Number of lines after which no more are kept. A run has some thousand.
  private static let maximumLines = 200_000

  private let time: VirtualTime
  private(set) var lines: [String] = []
  /// FNV-1a over all lines and frames. Equal digests mean equal runs.
  private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325

  init(_ time: VirtualTime) { self.time = time }

  func note(_ actor: String, _ text: String) {
    let line = "\(stamp) \(actor): \(text)"
    absorb(line.utf8)
    if lines.count < Self.maximumLines { lines.append(line) }
  }

  /// Adds bytes to the digest without a line.
  func absorb(_ bytes: some Sequence<UInt8>) {
    var digest = digest
    for byte in bytes { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
    self.digest = digest
  }

  /// Seconds with six decimals, right-aligned.
  private var stamp: String {
    let digits = String(1_000_000 + time.microseconds % 1_000_000).dropFirst()
    let seconds = String(time.microseconds / 1_000_000)
    return String(repeating: " ", count: max(0, 4 - seconds.utf8.count)) + "\(seconds).\(digits)"
  }
}
