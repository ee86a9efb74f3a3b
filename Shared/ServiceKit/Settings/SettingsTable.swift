public import ClusterModel

/// All settings of one process. Priority of their sources: flag > variable > file > default.
///
/// It does not access the environment, files or the command line. They are parameters, so that each
/// rule is one line in a table of tests.
public struct SettingsTable: Sendable {
  /// The action requested on the command line.
  enum Request: Hashable, Sendable {
    case run, help, version, checkConfig
  }

  public struct Resolution: Sendable {
    var request: Request
    public var values: SettingValues
    /// Warnings that do not prevent the start.
    var warnings: [String]
    /// All mistakes found, in the order flags, variables, file, defaults.
    public var mistakes: [String] { values.mistakes }
  }

  public let settings: [Setting]
  /// Sections of the file whose members this process checks.
  private let ownSections: Set<String>
  private let knownSections: [String]
  private let suggested: [String]

  /// - Parameters:
  ///   - sections: all valid sections of a cluster's file; sections of other services are not
  ///     checked.
  ///   - suggesting: flags to suggest in the message for an unknown flag; `nil` means all.
  public init(_ settings: [Setting], sections: [String], suggesting: Set<String>? = nil) {
    var flags: Set<String> = []
    for setting in settings {
      precondition(flags.insert(setting.flag).inserted, "two settings are \(setting.flag)")
    }
    self.settings = settings
    suggested = ArgumentReader.flags(of: settings).filter { suggesting?.contains($0) ?? true }
    ownSections = Set(settings.map { $0.section })
    knownSections = (sections + ownSections.sorted()).uniqued
  }

  /// - Parameters:
  ///   - arguments: without the program's name.
  ///   - readFile: reads a file as text; its error message is printed after the path.
  public func resolve(
    arguments: [String], environment: [String: String],
    readFile: @escaping (String) throws(ProcessFailure) -> String
  ) -> Resolution {
    let command = ArgumentReader(arguments, settings: settings, suggesting: suggested)
    var search = SettingSearch(settings: settings, readFile: readFile)
    search.mistakes = command.mistakes
    search.take(command.given)
    search.take(environment)

    // An empty variable counts as unset, because compose files write `${NAME:-}`.
    let configVariable = environment["TUTTI_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
    if let path = command.configPath ?? configVariable {
      do {
        search.take(
          ConfigurationFile(text: try readFile(path), path: path), ownSections: ownSections,
          knownSections: knownSections)
      } catch {
        let name = command.configPath == nil ? "TUTTI_CONFIG" : "--config"
        search.mistakes.append("\(name): \(path) \(error.message)")
      }
    }

    let strays = UnknownVariables(
      settings: settings, otherSections: knownSections.filter { !ownSections.contains($0) }
    ).find(in: environment)
    if command.wantsCheck {
      search.mistakes += strays
    } else {
      search.warnings += strays
    }

    let request: Request =
      command.wantsHelp
      ? .help : command.wantsVersion ? .version : command.wantsCheck ? .checkConfig : .run
    return Resolution(request: request, values: search.finish(), warnings: search.warnings)
  }
}

extension Setting {
  var section: String { String(key.prefix { $0 != "." }) }
  var member: String { String(key.drop { $0 != "." }.dropFirst()) }
}

extension Array<String> {
  /// The distinct elements, in order of first occurrence.
  var uniqued: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
