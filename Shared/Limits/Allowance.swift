/// Budget of one stream or request for the memory that it keeps and the work done for it.
///
/// Code that keeps bytes of an outsider (a host or a client) charges their true size: the capacity
/// of the buffer plus the cost of the entry that holds it. Code that loops over an outsider's data
/// charges one unit per step. Each received byte grants work, so the total stays linear in the
/// bytes that the outsider sent. If a host overdraws, the request fails over to the next host. If a
/// client overdraws, the request is refused with the limit's name and value.
public struct Allowance: Hashable, Sendable {
  /// Bytes received so far. Each byte grants work.
  public private(set) var received = 0
  /// Work units charged so far.
  public private(set) var worked = 0
  /// Bytes kept now.
  public private(set) var kept = 0
  /// Maximum of `kept` so far.
  public private(set) var mostKept = 0

  private let memory: Limit
  private let workPerByte: Limit
  private let freeWork: Limit

  /// - Parameters:
  ///   - memory: maximum bytes that may be kept at the same time.
  ///   - workPerByte: work units that each received byte grants.
  ///   - freeWork: work units that are granted before the first byte.
  public init(
    memory: Limit, workPerByte: Limit = Limits.workPerByte, freeWork: Limit = Limits.freeWork
  ) {
    self.memory = memory
    self.workPerByte = workPerByte
    self.freeWork = freeWork
  }

  /// Records bytes that arrived from the outsider.
  public mutating func receive(_ bytes: Int) {
    received = received.addingCapped(max(bytes, 0))
  }

  /// Charges units of work. Throws if the allowance does not have them.
  public mutating func work(_ units: Int) throws(Overdrawn) {
    worked = worked.addingCapped(max(units, 0))
    guard worked > freeWork.value else { return }
    guard worked - freeWork.value <= received.multipliedCapped(by: workPerByte.value) else {
      throw Overdrawn(workPerByte)
    }
  }

  /// Charges bytes that are kept until `release(_:)`. Throws if more than the allowance would be
  /// kept.
  public mutating func keep(_ bytes: Int) throws(Overdrawn) {
    kept = kept.addingCapped(max(bytes, 0))
    mostKept = max(mostKept, kept)
    guard kept <= memory.value else { throw Overdrawn(memory) }
  }

  /// Ends the charge for bytes that `keep(_:)` charged.
  public mutating func release(_ bytes: Int) {
    kept = max(kept - max(bytes, 0), 0)
  }
}

extension FixedWidthInteger {
  /// The sum, capped to the type's range, for values that come from outside.
  public func addingCapped(_ other: Self) -> Self {
    let (sum, overflow) = addingReportingOverflow(other)
    guard overflow else { return sum }
    return other < 0 ? .min : .max
  }

  /// The difference, capped to the type's range, for values that come from outside.
  public func subtractingCapped(_ other: Self) -> Self {
    let (difference, overflow) = subtractingReportingOverflow(other)
    guard overflow else { return difference }
    return other < 0 ? .max : .min
  }

  /// The value, rounded towards zero and capped to the type's range. NaN becomes 0. It is for
  /// values that come from outside or are computed from such values.
  public init(clamping value: Double) {
    guard let whole = Self(exactly: value.rounded(.towardZero)) else {
      self = value > 0 ? .max : value < 0 ? .min : 0
      return
    }
    self = whole
  }

  /// The product, capped to the type's range, for values that come from outside.
  public func multipliedCapped(by other: Self) -> Self {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    guard overflow else { return product }
    return (self < 0) == (other < 0) ? .max : .min
  }
}
