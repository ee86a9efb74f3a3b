import ClusterModel
import Logging
import RegistryCore
import Store
import Telemetry

/// The stored hosts. Each change is recorded in the audit log with its author.
struct AuditedHosts: Sendable {
  let store: HostStore
  let log: any AccountStoring
  let logger: Logger

  /// Stores the changes among the directives. The changes are durable on return.
  ///
  /// The log and the hosts are in separate stores. The log is written first, so that no change
  /// lacks its record. If the change then fails, a second record takes the first one back. If the
  /// log does not confirm its record, the host is not changed.
  ///
  /// - Parameter old: the hosts before the change.
  func apply(
    _ directives: [HostRegistry.Directive], to old: HostRegistry, by author: String
  ) async throws(Failure) {
    for directive in directives {
      switch directive {
      case .persist(let record):
        let host = record.host.id
        try await change(host, from: old.record(host), to: record, author) {
          () async throws(Failure) in try await store.save(record)
        }
      case .forget(let host):
        try await change(host, from: old.record(host), to: nil, author) {
          () async throws(Failure) in try await store.remove(host)
        }
      case .probe, .publish, .settled: break
      }
    }
  }

  private func change(
    _ host: HostID, from before: HostRecord?, to after: HostRecord?, _ author: String,
    _ save: () async throws(Failure) -> Void
  ) async throws(Failure) {
    let before = before.map { HostSettings($0).json }
    let after = after.map { HostSettings($0).json }
    do throws(Failure) {
      try await record(host, before, after, author)
    } catch {
      throw Failure(
        error.code,
        "The change could not be recorded in the audit log, so the host was not changed. "
          + error.message)
    }
    do throws(Failure) {
      try await save()
    } catch {
      do throws(Failure) {
        try await record(host, after, before, author)
      } catch {
        logger.report(
          .auditWrong,
          metadata: [LogKey.host: "\(host)", LogKey.reason: "\(error.message)"])
      }
      throw .notStored(error)
    }
  }

  private func record(
    _ host: HostID, _ before: String?, _ after: String?, _ author: String
  ) async throws(Failure) {
    try await log.recordChange(
      ofHost: host.name, before: before, after: after,
      by: ChangeAuthor(name: author, time: UnixTime.milliseconds()))
  }

  /// Closes the hosts' file. `KeyIssuer` closes the log.
  func close() async { await store.close() }
}
