import ClusterModel

@testable import Telemetry

/// Makes docs/manual/metrics.md from the metric catalogue.
enum MetricsPage {
  static var markdown: String {
    var page = """
      # Metrics

      Every metric of every process. Generated from `Shared/Telemetry/MetricCatalogue.swift`; change
      it there and run `make manual`.

      The monitor's `/metrics` has the metrics of all processes, with the labels `service` and
      `instance`. `deploy/prometheus.yml` and `deploy/alerts.yml` are for Prometheus.

      """
    for section in MetricCatalogue.tutti.sections {
      page += "\n## \(section.title)\n\n| metric | kind | meaning |\n|---|---|---|\n"
      for metric in section.metrics {
        page += "| `\(metric.name)` | \(metric.kind.rawValue) | \(metric.help) |\n"
      }
    }
    return page
  }
}
