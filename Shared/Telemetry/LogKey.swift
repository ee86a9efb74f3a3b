import ClusterModel

/// Metadata keys that several log lines use. A fact has the same key in each line, so that readers
/// can filter by it.
public enum LogKey {
  /// The value has 32 hexadecimal digits. The recorder stores the line under this trace.
  public static let trace = LogRecord.traceMember
  public static let span = "span_id"
  /// The value is a `LogEvents`.
  public static let event = "event"
  public static let service = "service"
  /// The value is the name of a child of `tutti up`.
  public static let process = "process"
  public static let peer = "peer"
  public static let host = "host"
  public static let model = "model"
  public static let plan = "plan"
  public static let task = "task"
  public static let role = "role"
  public static let method = "method"
  public static let path = "path"
  public static let status = "status"
  public static let address = "address"
  public static let port = "port"
  public static let url = "url"
  public static let file = "file"
  public static let setting = "setting"
  public static let signal = "signal"
  public static let count = "count"
  public static let revision = "revision"
  public static let epoch = "epoch"
  public static let milliseconds = "ms"
  /// The value is a failure's code.
  public static let code = "code"
  public static let reason = "reason"
  public static let error = "error"
}
