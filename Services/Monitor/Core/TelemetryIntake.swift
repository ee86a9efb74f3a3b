public import ClusterModel
import Limits

/// Bounds telemetry before the monitor keeps it. Processes bound their own records, but a faulty
/// process must not fill the monitor's memory or its store.
public enum TelemetryIntake {
  /// - Parameter sender: the process's name on the bus. It replaces the name in the batch, because
  ///   a process may report only for itself.
  public static func bounded(_ batch: TelemetryBatch, from sender: String) -> TelemetryBatch {
    var batch = batch
    batch.instance = sender
    batch.service = label(batch.service)
    for index in batch.logs.indices {
      batch.logs[index].level = label(batch.logs[index].level)
      batch.logs[index].service = label(batch.logs[index].service)
      batch.logs[index].message = batch.logs[index].message.cut(
        toBytes: Limits.telemetryMessageBytes.value)
      batch.logs[index].attributes = bounded(batch.logs[index].attributes)
    }
    for index in batch.spans.indices {
      batch.spans[index].service = label(batch.spans[index].service)
      batch.spans[index].name = label(batch.spans[index].name)
      batch.spans[index].attributes = bounded(batch.spans[index].attributes)
    }
    for index in batch.requests.indices {
      batch.requests[index].key = label(batch.requests[index].key)
      batch.requests[index].endpoint = label(batch.requests[index].endpoint)
      batch.requests[index].model = label(batch.requests[index].model)
      batch.requests[index].pattern = label(batch.requests[index].pattern)
      batch.requests[index].errorCode = label(batch.requests[index].errorCode)
      batch.requests[index].host = label(batch.requests[index].host)
      batch.requests[index].finishReason = label(batch.requests[index].finishReason)
      batch.requests[index].shares = bounded(batch.requests[index].shares)
    }
    return batch
  }

  private static func label(_ text: String) -> String {
    text.cut(toBytes: Limits.telemetryLabelBytes.value)
  }

  private static func bounded(_ shares: [HostShare]) -> [HostShare] {
    shares.prefix(Limits.recordedShares.value).map { share in
      var share = share
      share.host = HostID(label(share.host.name))
      share.model = ModelID(label(share.model.name))
      return share
    }
  }

  private static func bounded(_ attributes: [Attribute]) -> [Attribute] {
    attributes.prefix(Limits.telemetryAttributes.value).map {
      Attribute(label($0.key), $0.value.cut(toBytes: Limits.telemetryAttributeBytes.value))
    }
  }
}

extension TelemetryBatch {
  /// Estimated bytes of memory of the records: messages, span names, attributes, shares, and 256
  /// bytes for each record.
  var bytes: Int {
    func size(_ attributes: [Attribute]) -> Int {
      attributes.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 32 }
    }
    var total = records * 256
    for log in logs { total += log.message.utf8.count + size(log.attributes) }
    for span in spans { total += span.name.utf8.count + size(span.attributes) }
    for request in requests {
      total += request.shares.reduce(0) {
        $0 + 64 + $1.host.name.utf8.count + $1.model.name.utf8.count
      }
    }
    return total
  }
}
