/// A book without its transactions, for a checkpoint of the ledger.
extension LedgerBook {
  /// Ids of recently posted transactions. Equal books have equal bytes.
  public var rememberedIDs: [UInt8] { memory.bytes }

  /// Whether the same transaction was posted recently.
  public func remembers(_ transaction: LedgerTransaction) -> Bool {
    memory.recall(transaction) == .repeated
  }

  /// Whether a transaction with this id was posted recently, whatever its content.
  public func remembers(id: String) -> Bool { memory.contains(id: id) }

  /// Replaces all balances and remembered ids. The set of prepaid organisations stays.
  public mutating func restore(
    balances new: [AccountID: MicroCredits], rememberedIDs: [UInt8]
  ) throws(CheckpointFault) {
    let total = new.values.reduce(Int128(0)) { $0 + Int128($1.count) }
    guard total == 0 else { throw CheckpointFault("its balances do not sum to zero") }
    guard let memory = TransactionMemory(bytes: rememberedIDs) else {
      throw CheckpointFault("its list of recent transactions cannot be read")
    }
    balances = new.filter { $0.value != .zero }
    self.memory = memory
  }
}
