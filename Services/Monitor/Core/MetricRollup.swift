public import ClusterModel
import Limits

/// The global `Limits`. Inside `MetricRollup`, the name `Limits` means `MetricRollup.Limits`.
private typealias RollupLimits = Limits

/// Merges the metrics of every process into one set of families. Each sample gets the labels
/// `service` and `instance`. Families with the same name are joined, and silent processes are
/// dropped.
///
/// Samples that would make the joined text invalid are left out and counted. They have names that
/// Prometheus rejects, repeat a series, or belong to a family that had another kind before.
public struct MetricRollup: Sendable {
  public struct Limits: Equatable, Sendable {
    /// Maximum processes whose metrics are kept.
    public var instances = 512
    /// Maximum samples of one process. A process has some hundred series, and 20,000 samples of 100
    /// bytes are 2 MB of text.
    public var samplesPerInstance = 20_000
    /// Maximum samples of all processes. A scrape can handle 20 MB of text.
    public var samples = 200_000
    /// Maximum bytes of names, labels and values of one process, and of all processes.
    public var bytesPerInstance = RollupLimits.metricBytesPerProcess.value
    public var bytes = RollupLimits.metricBytes.value
    /// Maximum families of one process, with or without samples.
    public var familiesPerInstance = RollupLimits.metricFamilies.value
    /// Time after which a silent process is dropped. Processes report every few seconds, so a
    /// process that is silent for half a minute is gone or stuck, and its last values would look
    /// current.
    var silence: Duration = .seconds(30)

    public init() {}
  }

  private struct Snapshot: Sendable {
    var service: String
    var families: [MetricFamily]
    var samples: Int
    var bytes: Int
    var receivedAt: Instant
  }

  let limits: Limits
  private var snapshots: [String: Snapshot] = [:]
  private var kinds: [String: MetricKind] = [:]
  /// Samples left out so far, by reason.
  public private(set) var leftOut: [Reason: Int] = [:]

  public enum Reason: String, CaseIterable, Sendable {
    /// Prometheus does not accept the name or label, or a label exceeds a limit.
    case badName = "bad_name"
    /// An earlier report has the family with another kind.
    case kindConflict = "kind_conflict"
    /// A report has the family twice, or the family has the same labels twice.
    case duplicate
    /// A limit is exceeded.
    case tooMany = "too_many"
  }

  public init(limits: Limits = Limits()) { self.limits = limits }

  public var instances: [String] { snapshots.keys.sorted() }

  /// Replaces a process's snapshot. A snapshot without families is ignored.
  /// - Parameter instance: the process's peer name.
  public mutating func received(
    service: String, instance: String, families: [MetricFamily], now: Instant
  ) {
    expire(now: now)
    if families.isEmpty { return }
    if snapshots[instance] == nil, snapshots.count >= limits.instances {
      count(.tooMany, families)
      return
    }
    var room = min(
      limits.samplesPerInstance,
      limits.samples - snapshots.reduce(0) { $1.key == instance ? $0 : $0 + $1.value.samples })
    var bytes = min(
      limits.bytesPerInstance,
      limits.bytes - snapshots.reduce(0) { $1.key == instance ? $0 : $0 + $1.value.bytes })
    var kept: [MetricFamily] = []
    var names: Set<String> = []
    for (number, family) in families.enumerated() {
      guard number < limits.familiesPerInstance else {
        count(.tooMany, Array(families[number...]))
        break
      }
      guard Self.isName(family.name, colons: true) else {
        count(.badName, [family])
        continue
      }
      guard names.insert(family.name).inserted else {
        count(.duplicate, [family])
        continue
      }
      guard kinds[family.name] ?? family.kind == family.kind else {
        count(.kindConflict, [family])
        continue
      }
      let size = family.bytes
      guard family.samples.count <= room, size <= bytes else {
        // A part of a histogram would be invalid, so the family is kept whole or left out.
        count(.tooMany, [family])
        continue
      }
      kinds[family.name] = family.kind
      var family = family
      family.help = family.help.cut(toBytes: RollupLimits.telemetryAttributeBytes.value)
      family.samples = checked(family)
      room -= family.samples.count
      bytes -= size
      kept.append(family)
    }
    snapshots[instance] = Snapshot(
      service: service, families: kept, samples: kept.reduce(0) { $0 + $1.samples.count },
      bytes: kept.reduce(0) { $0 + $1.bytes }, receivedAt: now)
    // A process may report new family names each time, so unused names are forgotten.
    if kinds.count > 4 * limits.familiesPerInstance { forgetUnnamed() }
  }

  /// Drops silent processes, and the kinds of families that only these processes reported.
  mutating func expire(now: Instant) {
    let silent = snapshots.filter { $0.value.receivedAt.duration(to: now) >= limits.silence }.map(
      \.key)
    if silent.isEmpty { return }
    for instance in silent { snapshots[instance] = nil }
    forgetUnnamed()
  }

  private mutating func forgetUnnamed() {
    let named = Set(snapshots.values.flatMap { $0.families.map(\.name) })
    kinds = kinds.filter { named.contains($0.key) }
  }

  /// All families sorted by name. A family's samples are sorted by instance, and keep their order
  /// within an instance.
  public mutating func families(now: Instant) -> [MetricFamily] {
    expire(now: now)
    var joined: [String: MetricFamily] = [:]
    for (instance, snapshot) in snapshots.sorted(by: { $0.key < $1.key }) {
      let own = [Attribute("service", snapshot.service), Attribute("instance", instance)]
      for family in snapshot.families {
        let samples = family.samples.map { sample in
          MetricFamily.Sample(
            suffix: sample.suffix, labels: own + sample.labels.map(Self.moved), value: sample.value)
        }
        joined[
          family.name,
          default: MetricFamily(
            name: family.name, help: family.help, kind: family.kind, samples: [])
        ].samples += samples
      }
    }
    return joined.values.filter { !$0.samples.isEmpty }.sorted { $0.name < $1.name }
  }

  // MARK: - Checking for Prometheus

  private mutating func checked(_ family: MetricFamily) -> [MetricFamily.Sample] {
    struct Series: Hashable {
      var suffix: String
      var labels: Set<Attribute>
    }
    let suffixes: Set<String> = family.kind == .histogram ? ["_bucket", "_sum", "_count"] : [""]
    var seen: Set<Series> = []
    var kept: [MetricFamily.Sample] = []
    for sample in family.samples {
      // The bounds are checked before any text is hashed.
      guard sample.labels.count <= RollupLimits.metricLabels.value,
        sample.labels.allSatisfy({
          $0.key.utf8.count <= 200 && $0.value.utf8.count <= RollupLimits.metricLabelBytes.value
        })
      else {
        leftOut[.badName, default: 0] += 1
        continue
      }
      let names = sample.labels.map(\.key)
      let isBucket = sample.suffix == "_bucket"
      guard suffixes.contains(sample.suffix), Set(names).count == names.count,
        names.allSatisfy({ Self.isName($0, colons: false) }), names.contains("le") == isBucket
      else {
        leftOut[.badName, default: 0] += 1
        continue
      }
      guard seen.insert(Series(suffix: sample.suffix, labels: Set(sample.labels))).inserted else {
        leftOut[.duplicate, default: 0] += 1
        continue
      }
      kept.append(sample)
    }
    return kept
  }

  private mutating func count(_ reason: Reason, _ families: [MetricFamily]) {
    leftOut[reason, default: 0] += families.reduce(0) { $0 + $1.samples.count }
  }

  /// Renames a `service` or `instance` label that the process itself set to `exported_…`, as
  /// Prometheus does.
  private static func moved(_ label: Attribute) -> Attribute {
    label.key == "service" || label.key == "instance"
      ? Attribute("exported_\(label.key)", label.value) : label
  }

  private static func isName(_ name: String, colons: Bool) -> Bool {
    guard name.utf8.count <= 200, let first = name.utf8.first, !(0x30...0x39).contains(first)
    else { return false }
    return name.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: true
      case 0x3A: colons
      default: false
      }
    }
  }
}

extension MetricFamily {
  /// Estimated bytes of memory.
  fileprivate var bytes: Int {
    samples.reduce(name.utf8.count + help.utf8.count) { total, sample in
      sample.labels.reduce(total + sample.suffix.utf8.count + 64) {
        $0 + $1.key.utf8.count + $1.value.utf8.count + 32
      }
    }
  }
}
