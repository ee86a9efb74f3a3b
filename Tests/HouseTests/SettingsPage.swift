import ClusterModel

@testable import AgentKit
@testable import CommandLineService
@testable import DispatcherService
@testable import GatewayService
@testable import MonitorService
@testable import PlannerService
@testable import RegistryService
@testable import ServiceKit

/// Makes docs/manual/settings.md from the settings of all programs.
enum SettingsPage {
  /// The settings of one part of Tutti. Parts without settings are left out.
  private struct Section {
    let title: String
    var text = ""
    let settings: [Setting]
    /// The flags that exist; `nil` means those of all settings.
    var flags: Set<String>?
  }

  /// A home directory that the page shows as `~`.
  private static let home = "/home/me"

  private static var sections: [Section] {
    [
      Section(title: "Gateway", settings: own(GatewayConfiguration.settings)),
      Section(title: "Registry", settings: own(RegistryConfiguration.settings)),
      Section(title: "Monitor", settings: own(MonitorConfiguration.settings)),
      Section(title: "Planner", settings: own(PlannerConfiguration.settings)),
      Section(title: "Dispatcher", settings: own(DispatcherConfiguration.settings)),
      Section(title: "Agents", settings: AgentSettings.own),
      Section(
        title: "Inference", text: "The same for the gateway, the dispatcher and the agents.",
        settings: InferenceConfiguration.settings),
      Section(
        title: "`tutti up`",
        text: """
          `tutti up` passes variables and the file to all services. Its flags are listed here, and
          it has `--config`, `--data-dir` and `--drain-seconds`.
          """,
        settings: UpConfiguration.own, flags: UpFlags.known),
      Section(
        title: "Every process",
        text: """
          `SERVICE` is the service's section: `gateway`, `registry`, `planner`, `dispatcher`,
          `monitor`, `agent_research`, `agent_reasoning`, `agent_creative`, `agent_code`,
          `agent_critic` or `agent_coordinator`.
          """,
        settings: CommonConfiguration.settings(
          for: .other("SERVICE"), environment: ["HOME": home])),
    ]
  }

  /// A service's settings without those of the section that several services share.
  private static func own(_ settings: [Setting]) -> [Setting] {
    settings.filter { $0.section != "inference" }
  }

  static var markdown: String {
    var page = """
      # Settings

      Every setting of every program. Generated from the settings in the code; change them there and
      run `make manual`.

      A setting has the value of the first of these that sets it: its flag, its variable, the YAML
      file (`--config`, `TUTTI_CONFIG`), its default. `--check-config` lists all settings of a
      program with their values and sources, and names every mistake.

      | | name | for `gateway.max_requests` |
      |---|---|---|
      | file | member of a section; one file for all services | `gateway:` `max_requests:` |
      | flag | `--member`, of the service's executable | `--max-requests` |
      | variable | `TUTTI_SECTION_MEMBER`; without the section for `cluster` | `TUTTI_GATEWAY_MAX_REQUESTS` |

      The tables have these three names, the values, and the default; `–` means no fixed default.
      Durations are `250ms`, `10s`, `5m` or `1h`; a bare number counts seconds. Sizes are `65536`,
      `64KiB` or `10MB`. An address without a host is on 127.0.0.1. A list is comma-separated, a
      repeated flag, or a list in the file. A secret (◆) can also be the content of a file:
      `--member-file`, `TUTTI_…_FILE`, or `member_file` in the file. Settings marked ▲ can change
      [at run time](../api.md#run-time-settings).

      """
    for section in sections where !section.settings.isEmpty {
      page += "\n## \(section.title)\n"
      if !section.text.isEmpty { page += "\n\(section.text)\n" }
      page += "\n| setting | values | default | meaning |\n|---|---|---|---|\n"
      for setting in section.settings { page += row(setting, flags: section.flags) }
    }
    return page
  }

  private static func row(_ setting: Setting, flags: Set<String>?) -> String {
    var names = "`\(setting.key)`"
    if setting.secret { names += " ◆" }
    if RuntimeSetting(rawValue: setting.key) != nil { names += " ▲" }
    if flags?.contains(setting.flag) ?? true { names += "<br>`\(setting.flag)`" }
    names += "<br>`\(setting.variable)`"
    let standard = setting.defaultText ?? (setting.kind == .toggle ? "false" : nil)
    let shown = standard.map { "`\($0.replacing(home, with: "~"))`" } ?? "–"
    return "| \(names) | \(values(of: setting.kind)) | \(shown) | \(setting.help) |\n"
  }

  private static func values(of kind: Setting.Kind) -> String {
    switch kind {
    case .text: "text"
    case .name: "1–64 of `a–z A–Z 0–9 . _ -`"
    case .integer(let range): "\(grouped(range.lowerBound))–\(grouped(range.upperBound))"
    case .real(let range): "\(grouped(Int(range.lowerBound)))–\(grouped(Int(range.upperBound)))"
    case .duration(_, let range):
      "\(Setting.Kind.text(range.lowerBound))–\(Setting.Kind.text(range.upperBound))"
    case .bytes(let range): "\(size(range.lowerBound))–\(size(range.upperBound))"
    case .choice(let choices): choices.map { "`\($0)`" }.joined(separator: ", ")
    case .toggle: "`true`, `false`"
    case .address: "`PORT` or `HOST:PORT`"
    case .port: "0–65,535"
    case .path: "path"
    case .url: "URL"
    case .list(.url, let atMost): "up to \(grouped(atMost)) URLs"
    case .list(.name, let atMost): "up to \(grouped(atMost)) names"
    case .list(_, let atMost): "up to \(grouped(atMost)) texts"
    }
  }

  /// The number with commas between thousands.
  private static func grouped(_ number: Int) -> String {
    number < 1_000
      ? "\(number)"
      : grouped(number / 1_000) + "," + String("\(number % 1_000 + 1_000)".dropFirst())
  }

  /// The number of bytes in the largest binary unit that divides it.
  private static func size(_ bytes: Int) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
    for (shift, unit) in units where bytes >= 1 << shift && bytes % (1 << shift) == 0 {
      return "\(grouped(bytes >> shift))\(unit)"
    }
    return "\(grouped(bytes))B"
  }
}
