/// A configuration setting. One value defines its flag, variable, YAML member, default, check and
/// line in `--help`.
public struct Setting: Hashable, Sendable {
  /// The key in the YAML file: `section.member`, for example `gateway.max_body_bytes`.
  public var key: String
  /// Example: `--max-body-bytes`.
  public var flag: String
  /// Example: `TUTTI_GATEWAY_MAX_BODY_BYTES`.
  var variable: String
  var kind: Kind
  /// The default as a user would write it. `nil` means that there is none.
  var defaultText: String?
  var help: String
  /// Heading in `--help`; settings of one group are listed together.
  var group: String
  /// Whether the value is secret. It is printed as `***`, and may also come from a file named by
  /// `VARIABLE_FILE`, `--flag-file` or the member `key_file`. Setting it by flag causes a warning,
  /// because all users of the machine can read the process list.
  var secret: Bool
  var required: Bool

  /// - Parameter key: `section.member`. By default the flag is `--member` and the variable
  ///   `TUTTI_SECTION_MEMBER` (`TUTTI_MEMBER` for the section `cluster`).
  public init(
    _ key: String, _ kind: Kind, default defaultText: String? = nil, help: String,
    group: String? = nil, flag: String? = nil, variable: String? = nil, secret: Bool = false,
    required: Bool = false
  ) {
    self.key = key
    self.kind = kind
    self.defaultText = defaultText
    self.help = help
    self.secret = secret
    self.required = required
    let parts = key.split(separator: ".", maxSplits: 1).map(String.init)
    precondition(parts.count == 2, "a setting's key is section.member, not \(key)")
    self.group = group ?? "Options of this service"
    self.flag = flag ?? "--" + parts[1].replacing("_", with: "-")
    let section = parts[0] == "cluster" ? "" : parts[0].uppercased() + "_"
    self.variable = variable ?? "TUTTI_" + section + parts[1].uppercased()
  }

  /// The syntax and range of a value.
  public enum Kind: Hashable, Sendable {
    /// Text of up to 4,096 bytes without control characters.
    case text
    /// 1–64 characters of `a–z A–Z 0–9 . _ -`.
    case name
    case integer(ClosedRange<Int>)
    case real(ClosedRange<Double>)
    /// `250ms`, `10s`, `5m`, `1h`; a bare number counts `unit`s.
    case duration(unit: TimeUnit, ClosedRange<Duration>)
    /// A number with an optional B, KiB, MiB, GiB, kB, MB or GB.
    case bytes(ClosedRange<Int>)
    case choice([String])
    /// `true` or `false`, also `yes`, `on`, `1` or `no`, `off`, `0`; the flag needs no value,
    /// `--no-…` turns it off.
    case toggle
    /// `HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `PORT`; the default host is 127.0.0.1.
    case address
    /// 0 … 65535. 0 means that the system chooses the port.
    case port
    case path
    /// A URL that begins with `http://` or `https://`.
    case url
    /// Several values of a kind: a repeated flag, a comma-separated variable, or a YAML list.
    indirect case list(of: Kind, atMost: Int)
  }

  public enum TimeUnit: String, Hashable, Sendable {
    case milliseconds = "ms"
    case seconds = "s"
  }
}
