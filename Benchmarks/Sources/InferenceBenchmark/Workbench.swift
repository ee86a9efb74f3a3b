import ClusterModel
import ClusterTesting
import Inference
import InferenceCore
import Logging

/// Some hosts with faults, and a client configured with them.
struct Workbench {
  let hosts: [FaultyHost]
  let client: InferenceClient

  /// - Parameter slots: number of concurrent requests that each host reports.
  static func with<Result>(
    _ configurations: [FaultyHostConfiguration], slots: Int = 1_000,
    _ body: (Workbench) async throws -> Result
  ) async throws -> Result {
    var hosts: [FaultyHost] = []
    for configuration in configurations { hosts.append(try await .started(configuration)) }
    let lines = hosts.enumerated().map { index, host in
      var line = host.host(HostID("h\(index)"))
      line.slots = slots
      line.resume = .trailingAssistant
      return line
    }
    var logger = Logger(label: "benchmark")
    logger.logLevel = .error
    let table = HostTable(epoch: 1, revision: 1, hosts: lines)
    let client = InferenceClient(hosts: { table }, logger: logger)
    let result: Result
    do {
      result = try await body(Workbench(hosts: hosts, client: client))
    } catch {
      try? await client.shutdown()
      throw error
    }
    try await client.shutdown()
    for host in hosts { try await host.stop() }
    return result
  }

  static func request(stream: Bool = true, number: Int = 0) -> InferenceRequest {
    InferenceRequest(
      endpoint: .chatCompletions, model: "faulty-model",
      body: Array(
        #"{"model":"faulty-model","stream":\#(stream),"messages":[{"role":"user","content":"\#(number)"}]}"#
          .utf8), stream: stream,
      trace: TraceContext(trace: TraceID(high: 1, low: UInt64(number)), span: SpanID(1)))
  }

  /// Runs `count` requests, `atOnce` of them concurrently.
  func each(
    _ count: Int, atOnce: Int, _ work: @escaping @Sendable (Int) async -> Void
  ) async {
    await withTaskGroup(of: Void.self) { group in
      var next = 0
      while next < min(atOnce, count) {
        let number = next
        group.addTask { await work(number) }
        next += 1
      }
      while await group.next() != nil {
        guard next < count else { continue }
        let number = next
        group.addTask { await work(number) }
        next += 1
      }
    }
  }
}
