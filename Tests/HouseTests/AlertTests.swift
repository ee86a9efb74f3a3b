import Foundation
import Testing
import Yams

/// Checks the configuration of Prometheus and its alerts with promtool.
@Suite("Alerts")
struct AlertTests {
  @Test("promtool accepts the configuration and the alerts, and each alert rings in its case")
  func accepted() throws {
    for arguments in [
      ["check", "config", "deploy/prometheus.yml"],
      ["test", "rules", "Tests/alerts_test.yml"],
    ] {
      let output = try Command.run(
        "promtool", arguments, environment: [:], directory: SourceTree.root)
      #expect(output.status == 0, "promtool failed (missing? run: make setup): \(output.text)")
    }
  }

  @Test("Prometheus keeps the monitor's labels service and instance")
  func labels() throws {
    let file = try Yams.load(yaml: SourceTree.text("deploy/prometheus.yml")) as? [String: Any]
    let jobs = try #require(file?["scrape_configs"] as? [[String: Any]])
    #expect(jobs.allSatisfy { $0["honor_labels"] as? Bool == true })
  }

  @Test("alerts name metrics of the catalogue, and each alert has a case")
  func names() throws {
    let text = try SourceTree.text("deploy/alerts.yml")
    let catalogue = try SourceTree.text("Shared/Telemetry/MetricCatalogue.swift")
    let metrics = Set(text.matches(of: /\b(?:tutti|process)_[a-z0-9_]+/).map { String($0.0) })
    #expect(metrics.count > 5)
    for metric in metrics { #expect(catalogue.contains("\"\(metric)\""), "\(metric)") }
    let cases = try SourceTree.text("Tests/alerts_test.yml")
    let alerts = text.matches(of: /- alert: (\w+)/).map { String($0.1) }
    #expect(alerts.count > 5)
    for alert in alerts {
      #expect(cases.contains("alertname: \(alert)\n        exp_alerts"), "\(alert)")
    }
  }
}
