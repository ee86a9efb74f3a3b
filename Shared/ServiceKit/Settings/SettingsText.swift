extension SettingsTable {
  /// The text that `--help` prints: the program, the sources of settings, and every setting with
  /// its range, default and variable.
  func help(program: String, summary: String) -> String {
    var text = """
      \(program): \(summary)

      Usage: \(program) [--config FILE] [--check-config] [OPTION VALUE]…

      Every option can also be set by an environment variable or in the YAML file. A flag
      overrides a variable, a variable overrides the file, the file overrides the default.

        --config PATH
            The YAML file, one for all services of a cluster. TUTTI_CONFIG
        --check-config
            Print every setting with its value and its source, and exit with 0. If there are
            mistakes, print them all and exit with 64.
        --help, --version

      """
    for group in settings.map(\.group).uniqued {
      text += "\n\(group)\n"
      for setting in settings where setting.group == group { text += Self.help(setting) }
    }
    text += """

      Exit codes: 0 done, 1 failed, 64 wrong configuration, 69 something it needs is unavailable
      (a taken port, a directory), 75 try again later.

      """
    return text
  }

  private static func help(_ setting: Setting) -> String {
    let placeholder = setting.kind.placeholder
    var text = "  \(setting.flag)\(placeholder.isEmpty ? "" : " " + placeholder)\n"
    var sentences = [setting.help]
    switch setting.kind {
    case .text, .path, .toggle, .choice, .address: break
    default: sentences.append("It is \(setting.kind.description).")
    }
    if let text = setting.defaultText {
      sentences.append("Default: \(text.isEmpty ? "empty" : text).")
    } else if setting.required {
      sentences.append("Required.")
    }
    var names = setting.variable
    if setting.secret { names += ", \(setting.variable)_FILE, \(setting.flag)-file" }
    sentences.append("[\(names); \(setting.key)]")
    for line in wrapped(sentences.joined(separator: " "), width: 88) {
      text += "      \(line)\n"
    }
    return text
  }

  /// The text that `--check-config` prints: one line for each setting with its value and source.
  public func effective(_ values: SettingValues) -> String {
    let lines = settings.map { setting -> (String, String) in
      guard let entry = values.resolved[setting.key] else { return ("\(setting.key):", "") }
      let shown: String
      switch (entry.text, setting.secret) {
      case (.some, true): shown = "***"
      case (.some(let text), false): shown = text
      case (nil, _): shown = "–"
      }
      return ("\(setting.key): \(shown)", "# \(entry.source)")
    }
    // Align the comments for values of usual length, because one long path must not move all
    // comments to the right.
    let width = min(48, lines.map(\.0.count).max() ?? 0)
    return lines.map { line, comment in
      line + String(repeating: " ", count: max(1, width + 2 - line.count)) + comment + "\n"
    }.joined()
  }

  private static func wrapped(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      line += line.isEmpty ? String(word) : " " + word
    }
    if !line.isEmpty { lines.append(line) }
    return lines
  }
}
