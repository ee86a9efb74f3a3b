import Access
import CProtobufC
import ClusterProto
import Limits

extension Arena {
  func keyUseReport(_ report: KeyUseReport) -> UnsafeMutablePointer<Tutti__V1__KeyUseReport> {
    let message = unsafe make(tutti__v1__key_use_report__init)
    unsafe message.pointee.epoch = report.epoch
    unsafe message.pointee.after = report.after
    unsafe message.pointee.hour = report.hour
    unsafe message.pointee.n_uses = report.uses.count
    unsafe message.pointee.uses = array(report.uses) { unsafe dayUse($0) }
    return unsafe message
  }

  func keyUseTable(_ table: KeyUseTable) -> UnsafeMutablePointer<Tutti__V1__KeyUseTable> {
    let message = unsafe make(tutti__v1__key_use_table__init)
    unsafe message.pointee.epoch = table.epoch
    unsafe message.pointee.revision = table.revision
    unsafe message.pointee.is_complete = table.isComplete ? 1 : 0
    unsafe message.pointee.n_uses = table.uses.count
    unsafe message.pointee.uses = array(table.uses) { unsafe dayUse($0) }
    unsafe message.pointee.n_unrecorded = table.unrecorded.count
    unsafe message.pointee.unrecorded = array(table.unrecorded) { unsafe text($0.description) }
    return unsafe message
  }

  private func dayUse(_ use: DayUse) -> UnsafeMutablePointer<Tutti__V1__DayUse>? {
    let message = unsafe make(tutti__v1__day_use__init)
    unsafe message.pointee.key = text(use.key.description)
    unsafe message.pointee.n_hours = use.hours.count
    unsafe message.pointee.hours = array(use.hours) { unsafe hourlyUse($0) }
    return unsafe message
  }

  private func hourlyUse(_ use: HourlyUse) -> UnsafeMutablePointer<Tutti__V1__HourlyUse>? {
    let message = unsafe make(tutti__v1__hourly_use__init)
    unsafe message.pointee.hour = use.hour
    unsafe message.pointee.requests = UInt64(clamping: use.requests)
    unsafe message.pointee.tokens = UInt64(clamping: use.tokens)
    return unsafe message
  }
}

extension KeyUseReport {
  init(wire message: Tutti__V1__KeyUseReport) throws(WireError) {
    self.init(
      epoch: unsafe message.epoch, after: unsafe message.after, hour: unsafe message.hour,
      uses: try unsafe dayUses(message.n_uses, message.uses))
  }
}

extension KeyUseTable {
  init(wire message: Tutti__V1__KeyUseTable) throws(WireError) {
    let count = unsafe message.n_unrecorded
    guard count <= Limits.accessUseBatch.value else {
      throw .tooManyElements(limit: Limits.accessUseBatch.value)
    }
    var unrecorded: [KeyID] = []
    for key in try unsafe texts(count, message.unrecorded, "KeyUseTable.unrecorded") {
      unrecorded.append(try KeyID(wire: key, "KeyUseTable.unrecorded"))
    }
    self.init(
      epoch: unsafe message.epoch, revision: unsafe message.revision,
      isComplete: unsafe message.is_complete != 0,
      uses: try unsafe dayUses(message.n_uses, message.uses), unrecorded: unrecorded)
  }
}

private func dayUses(
  _ count: Int, _ base: UnsafeMutablePointer<UnsafeMutablePointer<Tutti__V1__DayUse>?>?
) throws(WireError) -> [DayUse] {
  guard count <= Limits.accessUseBatch.value else {
    throw .tooManyElements(limit: Limits.accessUseBatch.value)
  }
  return try unsafe elements(count, base) { use throws(WireError) in
    try unsafe DayUse(wire: use)
  }
}

extension DayUse {
  fileprivate init(wire message: Tutti__V1__DayUse) throws(WireError) {
    let count = unsafe message.n_hours
    guard count <= Self.mostHours else { throw .tooManyElements(limit: Self.mostHours) }
    self.init(
      key: try KeyID(wire: try unsafe String(wire: message.key, "DayUse.key"), "DayUse.key"),
      hours: try unsafe elements(count, message.hours) { hour throws(WireError) in
        unsafe HourlyUse(wire: hour)
      })
  }
}

extension HourlyUse {
  fileprivate init(wire message: Tutti__V1__HourlyUse) {
    // No key can have a higher limit, and sums of such counts do not overflow.
    func bounded(_ count: UInt64) -> Int {
      min(Int(clamping: count), Limits.accessRateLimit.value)
    }
    self.init(
      hour: unsafe message.hour, requests: bounded(unsafe message.requests),
      tokens: bounded(unsafe message.tokens))
  }
}
