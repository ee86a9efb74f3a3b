/// Reason why a checkpoint is not used: it is damaged, or no ledger can result in it.
public struct CheckpointFault: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
