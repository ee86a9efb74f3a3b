import ClusterModel
import Text

/// Collects the values of each setting from all sources, highest priority first. A hidden value is
/// also checked, because it would take effect if the source that hides it were removed.
struct SettingSearch {
  var mistakes: [String] = []
  var warnings: [String] = []

  private let settings: [Setting]
  private let readFile: (String) throws(ProcessFailure) -> String
  private var found: [String: SettingValues.Resolved] = [:]

  init(
    settings: [Setting], readFile: @escaping (String) throws(ProcessFailure) -> String
  ) {
    self.settings = settings
    self.readFile = readFile
  }

  mutating func take(_ given: [ArgumentReader.Given]) {
    for setting in settings {
      let own = given.filter { $0.setting == setting }
      guard let first = own.first else { continue }
      if first.isFile {
        takeSecret(setting, path: first.value, .flag(first.flag))
      } else {
        // Values of a repeated list flag are joined; each may hold several, separated by commas.
        take(setting, own.flatMap { setting.split($0.value) }, .flag(first.flag))
        if setting.secret {
          warnings.append(
            "\(first.flag): all users of this machine can read it in the list of processes; "
              + "\(setting.variable)_FILE keeps it private")
        }
      }
    }
  }

  mutating func take(_ environment: [String: String]) {
    for setting in settings {
      let name = setting.variable
      // An empty variable counts as unset, because compose files write `${NAME:-}`.
      let value = environment[name].flatMap { $0.isEmpty ? nil : $0 }
        .flatMap { Injected.isInjected(name, $0) ? nil : $0 }
      let path =
        setting.secret
        ? environment[name + "_FILE"].flatMap { $0.isEmpty ? nil : $0 } : nil
      if value != nil, path != nil {
        mistakes.append("\(name)_FILE: contradicts \(name); set one of them")
      }
      if let value {
        take(setting, setting.split(value), .variable(name))
      } else if let path {
        takeSecret(setting, path: path, .variable(name + "_FILE"))
      }
    }
  }

  mutating func take(
    _ file: ConfigurationFile, ownSections: Set<String>, knownSections: [String]
  ) {
    for flaw in file.flaws { mistakes.append("\(file.path):\(flaw.line): \(flaw.message)") }
    for (name, line) in file.sections where !knownSections.contains(name) {
      let near =
        NearNames.near(name, among: knownSections).first.map { "; did you mean `\($0)`?" } ?? ""
      mistakes.append("\(file.path):\(line): there is no section `\(name)`\(near)")
    }
    let byKey = Dictionary(settings.map { ($0.key, $0) }) { first, _ in first }
    let secretFiles = Dictionary(
      settings.filter(\.secret).map { ($0.key + "_file", $0) }
    ) { first, _ in first }
    for entry in file.entries {
      let source = SettingSource.file(path: file.path, line: entry.line, key: entry.key)
      if let setting = byKey[entry.key] {
        take(setting, entry.isList ? entry.values : setting.split(entry.values[0]), source)
      } else if let setting = secretFiles[entry.key] {
        takeSecret(setting, path: entry.values.first ?? "", source)
      } else if ownSections.contains(String(entry.key.prefix { $0 != "." })) {
        let near = NearNames.near(entry.key, among: byKey.keys).first
        let hint = near.map { "; did you mean \($0)?" } ?? ""
        mistakes.append("\(file.path):\(entry.line): there is no setting \(entry.key)\(hint)")
      }
    }
  }

  /// Fills in the defaults and records missing required settings as mistakes.
  mutating func finish() -> SettingValues {
    for setting in settings where found[setting.key] == nil {
      var entry = SettingValues.Resolved(setting: setting, source: .unset)
      if let text = setting.defaultText {
        do {
          entry.value = try setting.kind.parse(text)
          entry.text = text
          entry.source = .defaultValue
        } catch {
          preconditionFailure("default of \(setting.key): \"\(text)\" \(error.why)")
        }
      } else if setting.required {
        entry.isWrong = true
        mistakes.append("\(setting.names): is needed and was not set")
      }
      found[setting.key] = entry
    }
    return SettingValues(resolved: found, mistakes: mistakes)
  }

  private mutating func take(_ setting: Setting, _ values: [String], _ source: SettingSource) {
    var entry = SettingValues.Resolved(
      setting: setting, text: values.joined(separator: ","), source: source)
    do {
      entry.value = try setting.kind.parse(list: values)
    } catch {
      entry.isWrong = true
      let shown = setting.secret ? "***" : (entry.text ?? "").shortened
      mistakes.append("\(source): \"\(shown)\" \(setting.secret ? "is not valid" : error.why)")
    }
    if found[setting.key] == nil { found[setting.key] = entry }
  }

  private mutating func takeSecret(_ setting: Setting, path: String, _ source: SettingSource) {
    do {
      // Editors and `echo` append a newline, which is not part of the secret.
      let text = try readFile(path)[...].trimmingSpaces()
      take(setting, [text], source)
    } catch {
      mistakes.append("\(source): \(path) \(error.message)")
      if found[setting.key] == nil {
        found[setting.key] = SettingValues.Resolved(
          setting: setting, source: source, isWrong: true)
      }
    }
  }
}

extension Setting {
  /// Splits the text of a list into its members.
  func split(_ text: String) -> [String] {
    guard case .list = kind else { return [text] }
    return text.split(separator: ",").map { $0.trimmingSpaces() }
  }
}

extension String {
  /// The text, cut to 78 characters if it is longer than 80, for messages.
  var shortened: String { count <= 80 ? self : prefix(77) + "…" }
}

/// Variables that Kubernetes sets for every service, such as `TUTTI_GATEWAY_PORT=tcp://…` for a
/// service named `tutti-gateway`. They are not settings.
enum Injected {
  static func isInjected(_ name: String, _ value: String) -> Bool {
    if name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") { return true }
    guard let port = name.firstRange(of: "_PORT") else { return false }
    if ["tcp://", "udp://", "sctp://"].contains(where: value.hasPrefix) { return true }
    // TUTTI_GATEWAY_PORT_8080_TCP_ADDR and similar names.
    let rest = name[port.upperBound...].split(separator: "_")
    return rest.count >= 2 && rest[0].allSatisfy(\.isNumber)
      && ["TCP", "UDP", "SCTP"].contains(rest[1])
  }
}

/// `TUTTI_*` variables that no setting and no other part of the cluster uses: usually a typo.
struct UnknownVariables {
  /// Variables used by the command line or by tests, set by a parent process for its children, or
  /// used by a service under a name without its section.
  static let elsewhere = [
    "TUTTI_CONFIG", "TUTTI_URL", "TUTTI_API_KEY", "TUTTI_DATA_DIR", "TUTTI_LIFELINE_FD",
    CrashNote.variable,
    "TUTTI_MODEL_ENV", "TUTTI_TEST_PYTHON",
    "TUTTI_ADMIN_TOKEN", "TUTTI_ADMIN_TOKEN_FILE", "TUTTI_MONGODB_URI", "TUTTI_MONGODB_URI_FILE",
  ]

  let settings: [Setting]
  let otherSections: [String]

  func find(in environment: [String: String]) -> [String] {
    var known = Set(settings.map(\.variable)).union(Self.elsewhere)
    for setting in settings where setting.secret { known.insert(setting.variable + "_FILE") }
    let foreign = otherSections.map { "TUTTI_\($0.uppercased())_" }
    return environment.keys.sorted().compactMap { name in
      guard name.hasPrefix("TUTTI_"), !known.contains(name),
        !foreign.contains(where: name.hasPrefix),
        !name.hasPrefix(CredentialRules.standardPrefix),
        !Injected.isInjected(name, environment[name] ?? "")
      else { return nil }
      let near = NearNames.near(name, among: known).first.map { "; did you mean \($0)?" } ?? ""
      return "\(name): there is no such variable\(near)"
    }
  }
}
