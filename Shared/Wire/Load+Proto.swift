import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  private func samples(
    _ samples: HostLoadReport.Samples
  ) -> UnsafeMutablePointer<Tutti__V1__LatencySamples> {
    let message = unsafe make(tutti__v1__latency_samples__init)
    unsafe message.pointee.bucket = UInt32(clamping: samples.bucket)
    unsafe message.pointee.count = UInt32(clamping: samples.count)
    return unsafe message
  }

  private func line(_ line: HostLoadReport) -> UnsafeMutablePointer<Tutti__V1__HostLoadReport> {
    let message = unsafe make(tutti__v1__host_load_report__init)
    unsafe message.pointee.host = text(line.host.name)
    unsafe message.pointee.in_flight = UInt32(clamping: line.inFlight)
    unsafe message.pointee.n_first_tokens = line.firstTokens.count
    unsafe message.pointee.first_tokens = array(line.firstTokens) { unsafe samples($0) }
    unsafe message.pointee.answered = UInt32(clamping: line.answered)
    unsafe message.pointee.failed = UInt32(clamping: line.failed)
    unsafe message.pointee.tokens = UInt64(clamping: line.flow.tokens)
    unsafe message.pointee.flow_ms = UInt64(clamping: line.flow.time.wholeMilliseconds)
    unsafe message.pointee.beside_milli = UInt64(milli: line.flow.concurrency)
    unsafe message.pointee.beside_squared_milli = UInt64(milli: line.flow.concurrencySquared)
    unsafe message.pointee.flow_beside_ms =
      UInt64(clamping: line.flow.concurrentTime.wholeMilliseconds)
    unsafe message.pointee.trips = UInt32(clamping: line.trips)
    unsafe message.pointee.is_open = line.isOpen ? 1 : 0
    return unsafe message
  }

  func loadReport(_ report: LoadReport) -> UnsafeMutablePointer<Tutti__V1__LoadReport> {
    let message = unsafe make(tutti__v1__load_report__init)
    unsafe message.pointee.sequence = report.sequence
    unsafe message.pointee.n_hosts = report.hosts.count
    unsafe message.pointee.hosts = array(report.hosts) { unsafe line($0) }
    return unsafe message
  }

  private func load(_ load: HostLoad) -> UnsafeMutablePointer<Tutti__V1__HostLoad> {
    let message = unsafe make(tutti__v1__host_load__init)
    unsafe message.pointee.host = text(load.host.name)
    unsafe message.pointee.in_flight = UInt32(clamping: load.inFlight)
    // 0 means not measured, so a time of less than a millisecond is sent as 1.
    unsafe message.pointee.first_token_p50_ms =
      load.firstTokenP50.map { max(1, $0.wireMilliseconds) } ?? 0
    unsafe message.pointee.first_token_p95_ms =
      load.firstTokenP95.map { max(1, $0.wireMilliseconds) } ?? 0
    unsafe message.pointee.samples_milli = UInt32(milli: load.samples)
    unsafe message.pointee.error_rate_milli = UInt32(milli: load.errorRate)
    unsafe message.pointee.tokens_per_second_milli = UInt32(milli: load.tokensPerSecond ?? 0)
    unsafe message.pointee.open_breakers = UInt32(clamping: load.openBreakers)
    unsafe message.pointee.heard_ms =
      load.probeAge.map { UInt32(clamping: $0.wholeMilliseconds + 1) } ?? 0
    unsafe message.pointee.slowdown_milli = load.slowdown.map { UInt32(milli: $0) + 1 } ?? 0
    return unsafe message
  }

  private func merged(
    _ merged: LoadTable.Merged
  ) -> UnsafeMutablePointer<Tutti__V1__MergedReport> {
    let message = unsafe make(tutti__v1__merged_report__init)
    unsafe message.pointee.name = text(merged.peer.name)
    unsafe message.pointee.incarnation = merged.peer.incarnation
    unsafe message.pointee.sequence = merged.sequence
    return unsafe message
  }

  func loadTable(_ table: LoadTable) -> UnsafeMutablePointer<Tutti__V1__LoadTable> {
    let message = unsafe make(tutti__v1__load_table__init)
    unsafe message.pointee.epoch = table.epoch
    unsafe message.pointee.revision = table.revision
    unsafe message.pointee.n_hosts = table.hosts.count
    unsafe message.pointee.hosts = array(table.hosts) { unsafe load($0) }
    unsafe message.pointee.n_merged = table.merged.count
    unsafe message.pointee.merged = array(table.merged) { unsafe merged($0) }
    return unsafe message
  }
}

/// Maximum of a measured value. It keeps sums of reports far from overflow.
private let largestMeasured = 4_000_000_000

extension FixedWidthInteger where Self: UnsignedInteger {
  /// The value in thousandths, rounded to the nearest.
  fileprivate init(milli value: Double) {
    self = value > 0 ? Self(Swift.min(value * 1_000 + 0.5, Double(largestMeasured))) : 0
  }
}

extension Double {
  fileprivate init(milli value: UInt32) { self = Double(Int(measured: UInt64(value))) / 1_000 }
}

extension Int {
  fileprivate init(measured value: UInt64) {
    self = Swift.min(Int(clamping: value), largestMeasured)
  }
}

extension LoadReport {
  init(wire message: Tutti__V1__LoadReport) throws(WireError) {
    self.init(
      sequence: unsafe message.sequence,
      hosts: try unsafe elements(message.n_hosts, message.hosts) { line throws(WireError) in
        try unsafe HostLoadReport(wire: line)
      })
  }
}

extension HostLoadReport {
  init(wire message: Tutti__V1__HostLoadReport) throws(WireError) {
    self.init(
      host: HostID(try unsafe String(wire: message.host, "HostLoadReport.host")),
      inFlight: Int(unsafe message.in_flight),
      firstTokens: try unsafe elements(message.n_first_tokens, message.first_tokens) {
        samples throws(WireError) in
        Samples(bucket: Int(unsafe samples.bucket), count: Int(unsafe samples.count))
      },
      answered: Int(unsafe message.answered), failed: Int(unsafe message.failed),
      flow: TokenFlow(
        tokens: Int(measured: unsafe message.tokens),
        time: .milliseconds(Int(measured: unsafe message.flow_ms)),
        concurrency: Double(Int(measured: unsafe message.beside_milli)) / 1_000,
        concurrencySquared: Double(Int(measured: unsafe message.beside_squared_milli)) / 1_000,
        concurrentTime: .milliseconds(Int(measured: unsafe message.flow_beside_ms))),
      trips: Int(unsafe message.trips), isOpen: unsafe message.is_open != 0)
  }
}

extension HostLoad {
  init(wire message: Tutti__V1__HostLoad) throws(WireError) {
    func time(_ milliseconds: UInt32) -> Duration? {
      milliseconds == 0 ? nil : .milliseconds(milliseconds)
    }
    let rate = unsafe message.tokens_per_second_milli
    let probeAge = unsafe message.heard_ms
    let slowdown = unsafe message.slowdown_milli
    self.init(
      host: HostID(try unsafe String(wire: message.host, "HostLoad.host")),
      inFlight: Int(unsafe message.in_flight),
      firstTokenP50: time(unsafe message.first_token_p50_ms),
      firstTokenP95: time(unsafe message.first_token_p95_ms),
      samples: Double(milli: unsafe message.samples_milli),
      errorRate: Double(milli: unsafe message.error_rate_milli),
      tokensPerSecond: rate == 0 ? nil : Double(milli: rate),
      slowdown: slowdown == 0 ? nil : Double(milli: slowdown - 1),
      openBreakers: Int(unsafe message.open_breakers),
      probeAge: probeAge == 0 ? nil : .milliseconds(probeAge - 1))
  }
}

extension LoadTable {
  init(wire message: Tutti__V1__LoadTable) throws(WireError) {
    self.init(
      epoch: unsafe message.epoch, revision: unsafe message.revision,
      hosts: try unsafe elements(message.n_hosts, message.hosts) { load throws(WireError) in
        try unsafe HostLoad(wire: load)
      },
      merged: try unsafe elements(message.n_merged, message.merged) { merged throws(WireError) in
        Merged(
          peer: PeerID(
            name: try unsafe String(wire: merged.name, "MergedReport.name"),
            incarnation: unsafe merged.incarnation),
          sequence: unsafe merged.sequence)
      })
  }
}
