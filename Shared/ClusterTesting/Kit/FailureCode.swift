public import ClusterModel

/// The code of the failure that a function throws; `nil` means that it throws none.
public func failureCode(_ body: () throws(Failure) -> Void) -> Failure.Code? {
  do throws(Failure) {
    try body()
    return nil
  } catch {
    return error.code
  }
}
