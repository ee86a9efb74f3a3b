public import ClusterModel

/// The Prometheus text format, version 0.0.4.
public enum PrometheusText {
  /// Content type of the result of `render`.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// Renders each family once, even if several processes contribute to it. The kind is that of the
  /// first contribution. Samples of another kind and duplicate label sets are left out, because a
  /// scraper would reject the whole text.
  public static func render(_ families: [MetricFamily]) -> String {
    var merged: [String: MetricFamily] = [:]
    for family in families {
      guard var known = merged[family.name] else {
        merged[family.name] = family
        continue
      }
      guard known.kind == family.kind else { continue }
      known.samples += family.samples
      if known.help.isEmpty { known.help = family.help }
      merged[family.name] = known
    }
    var text = ""
    for family in merged.values.sorted(by: { $0.name < $1.name }) where !family.samples.isEmpty {
      write(family, to: &text)
    }
    return text
  }

  private static func write(_ family: MetricFamily, to text: inout String) {
    text += "# HELP \(family.name) \(escaped(family.help, quotes: false))\n"
    text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
    var seen: Set<String> = []
    for sample in family.samples {
      var series = family.name + sample.suffix
      if !sample.labels.isEmpty {
        series += "{"
        for (index, label) in sample.labels.enumerated() {
          if index > 0 { series += "," }
          series += label.key
          series += "=\""
          series += escaped(label.value, quotes: true)
          series += "\""
        }
        series += "}"
      }
      guard seen.insert(series).inserted else { continue }
      text += series
      text += " "
      text += number(sample.value)
      text += "\n"
    }
  }

  /// Formats a number. Whole numbers have no decimal point, because most counters are whole.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    if let whole = Int64(exactly: value) { return String(whole) }
    return value.description
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    let special: (Character) -> Bool = {
      $0 == "\\" || $0.isNewline || (quotes && $0 == "\"")
    }
    guard text.contains(where: special) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += " "
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

extension MetricFamily {
  /// Returns the family with `labels` in front of each sample's own labels, for example the name of
  /// its process. An own label with the same key is dropped.
  func labelled(_ labels: [Attribute]) -> MetricFamily {
    let keys = Set(labels.map(\.key))
    var family = self
    for index in family.samples.indices {
      family.samples[index].labels =
        labels + family.samples[index].labels.filter { !keys.contains($0.key) }
    }
    return family
  }
}
