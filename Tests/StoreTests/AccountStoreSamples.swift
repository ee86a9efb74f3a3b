import ClusterModel
import GRDB
import Money
import Store

extension AccountStore {
  /// Every row of a replay.
  func everything() async throws -> [LedgerRow] {
    var rows: [LedgerRow] = []
    for try await page in replay() { rows += page }
    return rows
  }
}

/// A transfer between two accounts.
func transfer(
  _ id: String, _ amount: Int64, from payer: AccountID = AccountID("org/acme"),
  to payee: AccountID = AccountID("margin"), at time: Int64 = 1_000, note: String = ""
) throws -> LedgerTransaction {
  try LedgerTransaction(
    id: id, kind: .settle, time: time,
    entries: [
      LedgerEntry(account: payer, amount: MicroCredits(-amount)),
      LedgerEntry(account: payee, amount: MicroCredits(amount)),
    ], note: note)
}

/// Changes the file as another program might.
func edit(_ path: String, _ sql: String) throws {
  let file = try DatabaseQueue(path: path)
  defer { try? file.close() }
  try file.writeWithoutTransaction { try $0.execute(sql: sql) }
}

func failure(_ body: () async throws -> Void) async -> Failure? {
  do {
    try await body()
    return nil
  } catch {
    return error as? Failure
  }
}
