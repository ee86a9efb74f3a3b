import ClusterModel
import Testing

/// Compares docs/api.md with the catalogue of settings that change at run time.
@Suite("Documented run-time settings")
struct RuntimeSettingTests {
  @Test("docs/api.md lists each setting that changes at run time, with its range and default")
  func documented() throws {
    let text = try SourceTree.text("docs/api.md")
    let start = try #require(text.firstRange(of: "\n### Run-time settings\n"))
    let section = text[start.upperBound...]
    let end = section.firstRange(of: "\n##")?.lowerBound ?? section.endIndex
    let rows = section[..<end].split(separator: "\n").filter { $0.hasPrefix("| `") }
    #expect(rows.count == RuntimeSetting.allCases.count)
    for setting in RuntimeSetting.allCases {
      let cells = try #require(
        rows.map { $0.split(separator: "|").map { $0.trimmingPrefix(" ") } }
          .first { $0.first?.hasPrefix("`\(setting.id)`") == true }, "\(setting.id)")
      try #require(cells.count == 4)
      #expect(cells[1].hasPrefix(Self.text(setting.range)), "\(setting.id): \(cells[1])")
      #expect(cells[2].hasPrefix(Self.text(setting.standard)), "\(setting.id): \(cells[2])")
    }
  }

  private static func text(_ range: RuntimeSetting.Range) -> String {
    switch range {
    case .integer(let range): "\(grouped(range.lowerBound))–\(grouped(range.upperBound))"
    case .choice(let choices): choices.map { "`\($0)`" }.joined(separator: ", ")
    case .name: "model name"
    }
  }

  private static func text(_ value: RuntimeValue) -> String {
    switch value {
    case .integer(let number): "\(number)"
    case .choice(let choice): "`\(choice)`"
    }
  }

  /// The number with commas between thousands.
  private static func grouped(_ number: Int) -> String {
    number < 1_000
      ? "\(number)"
      : grouped(number / 1_000) + "," + String("\(number % 1_000 + 1_000)".dropFirst())
  }
}
