import ClusterModel
import Foundation
import Telemetry

/// Metrics of this process: its processor time, memory, descriptors, start, crashes and version.
enum ProcessMetrics {
  @Sendable static func collect() -> [MetricFamily] {
    var values: [(String, Double)] = []
    if let stat = read("/proc/self/stat"), let end = stat.lastIndex(of: ")") {
      // Fields after the command name, which may contain spaces; the first is field 3 of proc(5).
      let fields = stat[stat.index(after: end)...].split(separator: " ")
      let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
      if fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
        let pages = Double(fields[21])
      {
        values.append(("process_cpu_seconds_total", (user + system) / ticks))
        values.append(
          ("process_resident_memory_bytes", pages * Double(sysconf(Int32(_SC_PAGESIZE)))))
      }
    }
    if let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
      values.append(("process_open_fds", Double(descriptors.count)))
    }
    values.append(("process_start_time_seconds", start))
    values.append(("tutti_process_crashes_total", Double(CrashNote.own?.count ?? 0)))
    if let note = CrashNote.own {
      values.append(("tutti_process_last_crash_time_seconds", Double(note.lastUnixSeconds)))
    }
    var families = values.compactMap { name, value in family(name, [], value) }
    if let info = family("tutti_build_info", [Attribute("version", Version.current)], 1) {
      families.append(info)
    }
    return families
  }

  /// Start of the process, in seconds since 1970: the time of the first access to this property,
  /// which `ServiceProcess` makes.
  static let start = Date().timeIntervalSince1970

  private static func family(
    _ name: String, _ labels: [Attribute], _ value: Double
  ) -> MetricFamily? {
    MetricCatalogue.tutti[name].map {
      MetricFamily(
        name: name, help: $0.help, kind: $0.kind,
        samples: [MetricFamily.Sample(labels: labels, value: value)])
    }
  }

  private static func read(_ path: String) -> String? {
    // `contentsOfFile` cannot be used, because files in /proc report size 0.
    guard let file = FileHandle(forReadingAtPath: path) else { return nil }
    defer { try? file.close() }
    return (try? file.read(upToCount: 4_096)).map { String(decoding: $0, as: UTF8.self) }
  }
}
