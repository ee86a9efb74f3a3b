import ClusterModel

/// Readable log of one run, and a digest of its lines and frames.
final class EventLog {
  /// Number of lines after which no more are kept. A run has some thousand.
  private static let maximumLines = 200_000

  private let time: VirtualTime
  private(set) var lines: [String] = []
  /// FNV-1a over all lines, and over the size and every fourth byte of all frames.
  private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325

  init(_ time: VirtualTime) { self.time = time }

  func note(_ actor: String, _ text: String) {
    let line = "\(stamp) \(actor): \(text)"
    for byte in line.utf8 { absorb(UInt64(byte)) }
    if lines.count < Self.maximumLines { lines.append(line) }
  }

  /// Adds a frame to the digest, without a line in the log. Only the frame's size and every fourth
  /// byte count, because a run has a million bytes.
  func absorb(_ frame: [UInt8]) {
    absorb(UInt64(frame.count))
    for index in stride(from: 0, to: frame.count, by: 4) { absorb(UInt64(frame[index])) }
  }

  private func absorb(_ value: UInt64) { digest = (digest ^ value) &* 0x100_0000_01B3 }

  /// Seconds with six decimals, right-aligned.
  private var stamp: String {
    let digits = String(1_000_000 + time.microseconds % 1_000_000).dropFirst()
    let seconds = String(time.microseconds / 1_000_000)
    return String(repeating: " ", count: max(0, 4 - seconds.utf8.count)) + "\(seconds).\(digits)"
  }
}
