/// One thing that can be set. The same value drives the flag, the variable, the member of the YAML
/// file, the default, the line in `--help` and the check.
public struct Setting: Hashable, Sendable {
  /// Where it stands in the YAML file: `section.member`, for example `gateway.max_body_bytes`.
  public var key: String
  /// For example `--max-body-bytes`.
  public var flag: String
  /// For example `TUTTI_GATEWAY_MAX_BODY_BYTES`.
  public var variable: String
  public var kind: Kind
  /// As one would write it; nil: there is none, and whoever reads it gets nil or says it is needed.
  public var defaultText: String?
  public var help: String
  /// Heading in `--help`; settings of one group stand together.
  public var group: String
  /// Printed as `***`. Its value may also come from a file that `VARIABLE_FILE`, `--flag-file` or
  /// the member `key_file` names; given as a flag it draws a warning, because everybody on the
  /// machine can read the list of processes.
  public var secret: Bool
  public var required: Bool

  /// - Parameter key: `section.member`. The flag is `--member`, the variable `TUTTI_SECTION_MEMBER`
  ///   (`TUTTI_MEMBER` for the section `cluster`), unless they are given.
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

  /// What a value looks like.
  public enum Kind: Hashable, Sendable {
    /// Any text of 1 … 4,096 bytes without control characters.
    case text
    /// 1–64 of `a–z A–Z 0–9 . _ -`.
    case name
    case integer(ClosedRange<Int>)
    case real(ClosedRange<Double>)
    /// `250ms`, `10s`, `5m`, `1h`; a bare number counts `unit`s.
    case duration(unit: TimeUnit, ClosedRange<Duration>)
    /// A number with an optional B, KiB, MiB, GiB, kB, MB or GB.
    case bytes(ClosedRange<Int>)
    case choice([String])
    /// `true` or `false`; the flag stands alone, `--no-…` turns it off.
    case toggle
    /// `HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `PORT`; 127.0.0.1 unless a host is given.
    case address
    /// 0 … 65535; 0 lets the system choose.
    case port
    case path
    /// `http://` or `https://`.
    case url
    /// Several of a kind: the flag repeated, a comma-separated variable, or a YAML list.
    indirect case list(of: Kind, atMost: Int)
  }

  public enum TimeUnit: String, Hashable, Sendable {
    case milliseconds = "ms"
    case seconds = "s"
  }
}
