import ClusterModel
import Money
import RegistryCore
import Telemetry

extension BudgetSummary {
  /// Metrics of budgets. Empty if there are no budgets.
  var families: [MetricFamily] {
    let ratios = largest.map { share in
      MetricFamily.Sample(labels: [Attribute("budget", share.ceiling.name)], value: share.ratio)
    }
    let reached = thresholds.map { threshold in
      MetricFamily.Sample(
        labels: [
          Attribute("threshold", threshold.perMille.map(Self.ratioText) ?? Self.otherLabel)
        ], value: Double(threshold.reached))
    }
    return [
      ("tutti_registry_budget_spent_ratio", ratios),
      ("tutti_registry_budgets_above_warning", reached),
    ].compactMap { name, samples in
      guard !samples.isEmpty else { return nil }
      return MetricCatalogue.tutti[name].map {
        MetricFamily(name: name, help: $0.help, kind: $0.kind, samples: samples)
      }
    }
  }

  /// Thousandths as a decimal fraction, for example `0.8`.
  private static func ratioText(_ perMille: Int) -> String { "\(Double(perMille) / 1_000)" }
}
