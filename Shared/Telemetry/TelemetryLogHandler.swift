import ClusterModel
import Limits
public import Logging

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Destination of this process's log lines. All lines go to `write`. Lines from level `info` up
/// also go to the recorder.
public final class LogSink: Sendable {
  let service: String
  let format: LogFormat
  let recorder: TelemetryRecorder?
  private let write: @Sendable (String) -> Void
  private let clock: @Sendable () -> UInt64

  public init(
    service: String, format: LogFormat, recorder: TelemetryRecorder?,
    clock: @escaping @Sendable () -> UInt64 = UnixTime.microseconds,
    write: @escaping @Sendable (String) -> Void = StandardError.write
  ) {
    self.service = service
    self.format = format
    self.recorder = recorder
    self.clock = clock
    self.write = write
  }

  func log(_ level: Logger.Level, _ message: String, _ attributes: [Attribute], trace: TraceID?) {
    let record = LogRecord(
      timeUnixMicroseconds: clock(), level: level.rawValue, service: service,
      message: message.cut(toBytes: Limits.telemetryMessageBytes.value), trace: trace,
      attributes: attributes)
    write(LogLine.render(record, as: format))
    if level >= .info { recorder?.record(record) }
  }
}

/// The swift-log backend. It passes each log event to a `LogSink`.
public struct TelemetryLogHandler: LogHandler {
  public var logLevel: Logger.Level
  public var metadata: Logger.Metadata = [:]
  public var metadataProvider: Logger.MetadataProvider?

  private let sink: LogSink

  public init(sink: LogSink, level: Logger.Level) {
    self.sink = sink
    logLevel = level
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var facts = metadata
    if let provided = metadataProvider?.get() { facts.merge(provided) { _, new in new } }
    if let own = event.metadata { facts.merge(own) { _, new in new } }
    if let error = event.error { facts[LogKey.error] = "\(error)" }
    var trace: TraceID?
    var attributes: [Attribute] = []
    for (key, value) in facts.sorted(by: { $0.key < $1.key }) {
      let text = "\(value)".cut(toBytes: Limits.telemetryMessageBytes.value)
      if key == LogKey.trace, let id = TraceID(text) {
        trace = id
      } else {
        attributes.append(Attribute(key, text))
      }
    }
    sink.log(event.level, "\(event.message)", attributes, trace: trace)
  }
}

/// The process's stderr, for log lines.
public enum StandardError {
  /// Writes the line with one `write` if the system takes all of it, so that lines of several
  /// threads do not mix. A line that cannot be written is lost, because a missing log must not stop
  /// the service.
  @Sendable public static func write(_ line: String) {
    writeAll(line, to: STDERR_FILENO)
  }

  /// The text format if stderr is a terminal, otherwise JSON.
  public static var preferredFormat: LogFormat { isatty(STDERR_FILENO) == 1 ? .text : .json }
}

/// The process's stdout, for the output of a command.
public enum StandardOutput {
  @Sendable public static func write(_ text: String) {
    writeAll(text, to: STDOUT_FILENO)
  }
}

private func writeAll(_ text: String, to descriptor: Int32) {
  var text = text
  text.withUTF8 { bytes in
    var rest = UnsafeRawBufferPointer(bytes)
    while unsafe !rest.isEmpty {
      #if canImport(Glibc)
        let written = unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
      #else
        let written = unsafe Darwin.write(descriptor, rest.baseAddress, rest.count)
      #endif
      if written > 0 {
        unsafe rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      } else if errno != EINTR {
        return
      }
    }
  }
}
