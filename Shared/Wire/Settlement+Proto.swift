import CProtobufC
import ClusterModel
import ClusterProto
import Limits
import Money

extension Arena {
  func settlements(_ settlements: [Settlement]) -> UnsafeMutablePointer<Tutti__V1__Settlements> {
    let message = unsafe make(tutti__v1__settlements__init)
    unsafe message.pointee.n_settlements = settlements.count
    unsafe message.pointee.settlements = array(settlements) { unsafe settlement($0) }
    return unsafe message
  }

  private func settlement(
    _ settlement: Settlement
  ) -> UnsafeMutablePointer<Tutti__V1__Settlement> {
    let message = unsafe make(tutti__v1__settlement__init)
    unsafe message.pointee.lease = leaseSettlement(settlement.lease)
    unsafe message.pointee.trace = text(settlement.trace)
    unsafe message.pointee.model = text(settlement.model.name)
    unsafe message.pointee.admitted_at_ms = settlement.admittedAt
    unsafe message.pointee.price = tokenPrice(settlement.price)
    unsafe message.pointee.n_answers = settlement.answers.count
    unsafe message.pointee.answers = array(settlement.answers) { unsafe settledAnswer($0) }
    return unsafe message
  }

  func priceTable(_ table: PriceTable) -> UnsafeMutablePointer<Tutti__V1__PriceTable> {
    let message = unsafe make(tutti__v1__price_table__init)
    let rows = table.rows
    unsafe message.pointee.epoch = table.epoch
    unsafe message.pointee.revision = table.revision
    unsafe message.pointee.unknown = text(table.unknown.rawValue)
    unsafe message.pointee.n_rows = rows.count
    unsafe message.pointee.rows = array(rows) { unsafe clientPrice($0) }
    return unsafe message
  }

  private func clientPrice(_ row: PriceRow) -> UnsafeMutablePointer<Tutti__V1__ClientPrice> {
    let message = unsafe make(tutti__v1__client_price__init)
    unsafe message.pointee.model = text(row.model.name)
    unsafe message.pointee.effective_from_ms = row.effectiveFrom
    unsafe message.pointee.price = tokenPrice(row.price)
    return unsafe message
  }

  private func tokenPrice(_ price: TokenPrice) -> UnsafeMutablePointer<Tutti__V1__TokenPrice> {
    let message = unsafe make(tutti__v1__token_price__init)
    unsafe message.pointee.input = price.input.count
    unsafe message.pointee.cached_input = price.cachedInput.count
    unsafe message.pointee.output = price.output.count
    return unsafe message
  }

  func billedTokens(_ usage: TokenUsage) -> UnsafeMutablePointer<Tutti__V1__BilledTokens> {
    let message = unsafe make(tutti__v1__billed_tokens__init)
    unsafe message.pointee.prompt = usage.prompt
    unsafe message.pointee.cached = usage.cached
    unsafe message.pointee.completion = usage.completion
    return unsafe message
  }

  private func settledAnswer(
    _ answer: SettledAnswer
  ) -> UnsafeMutablePointer<Tutti__V1__SettledAnswer>? {
    let message = unsafe make(tutti__v1__settled_answer__init)
    unsafe message.pointee.usage = billedTokens(answer.usage)
    unsafe message.pointee.n_attempts = answer.attempts.count
    unsafe message.pointee.attempts = array(answer.attempts) { unsafe settledAttempt($0) }
    if let price = answer.price { unsafe message.pointee.price = tokenPrice(price) }
    return unsafe message
  }

  private func settledAttempt(
    _ attempt: SettledAttempt
  ) -> UnsafeMutablePointer<Tutti__V1__SettledAttempt>? {
    let message = unsafe make(tutti__v1__settled_attempt__init)
    unsafe message.pointee.host = text(attempt.host.name)
    unsafe message.pointee.model = text(attempt.model.name)
    unsafe message.pointee.usage = billedTokens(attempt.usage)
    unsafe message.pointee.contributed = attempt.contributed
    unsafe message.pointee.role = text(attempt.role.rawValue)
    if let price = attempt.hostPrice { unsafe message.pointee.host_price = tokenPrice(price) }
    return unsafe message
  }
}

func settlementList(_ message: Tutti__V1__Settlements) throws(WireError) -> [Settlement] {
  let count = unsafe message.n_settlements
  guard count <= Limits.settlementBatch.value else {
    throw .tooManyElements(limit: Limits.settlementBatch.value)
  }
  return try unsafe elements(count, message.settlements) { value throws(WireError) in
    try unsafe Settlement(wire: value)
  }
}

extension Settlement {
  fileprivate init(wire message: Tutti__V1__Settlement) throws(WireError) {
    let count = unsafe message.n_answers
    guard count <= Limits.billedAnswers.value else {
      throw .tooManyElements(limit: Limits.billedAnswers.value)
    }
    self.init(
      lease: try unsafe required(message.lease, "Settlement.lease") { value throws(WireError) in
        try unsafe LeaseSettlement(wire: value)
      },
      trace: try unsafe String(wire: message.trace, "Settlement.trace"),
      model: ModelID(try unsafe String(wire: message.model, "Settlement.model")),
      admittedAt: unsafe message.admitted_at_ms,
      price: try unsafe tokenPrice(message.price, "Settlement.price"),
      answers: try unsafe elements(count, message.answers) { answer throws(WireError) in
        try unsafe SettledAnswer(wire: answer)
      })
  }
}

extension SettledAnswer {
  fileprivate init(wire message: Tutti__V1__SettledAnswer) throws(WireError) {
    let count = unsafe message.n_attempts
    guard count <= Limits.billedAttempts.value else {
      throw .tooManyElements(limit: Limits.billedAttempts.value)
    }
    self.init(
      usage: try unsafe tokenUsage(message.usage, "SettledAnswer.usage"),
      attempts: try unsafe elements(count, message.attempts) { attempt throws(WireError) in
        try unsafe SettledAttempt(wire: attempt)
      },
      price: unsafe message.price == nil
        ? nil : try unsafe tokenPrice(message.price, "SettledAnswer.price"))
  }
}

extension SettledAttempt {
  /// - Throws: `WireError.unknownValue` if more tokens contributed to the answer than the host
  ///   made.
  fileprivate init(wire message: Tutti__V1__SettledAttempt) throws(WireError) {
    let usage = try unsafe tokenUsage(message.usage, "SettledAttempt.usage")
    let contributed = unsafe message.contributed
    guard (0...usage.completion).contains(contributed) else {
      throw .unknownValue(field: "SettledAttempt.contributed")
    }
    self.init(
      host: HostID(try unsafe String(wire: message.host, "SettledAttempt.host")),
      model: ModelID(try unsafe String(wire: message.model, "SettledAttempt.model")),
      usage: usage, contributed: contributed,
      role: try unsafe BilledAttempt.Role(wire: message.role, "SettledAttempt.role"),
      hostPrice: unsafe message.host_price == nil
        ? nil : try unsafe tokenPrice(message.host_price, "SettledAttempt.host_price"))
  }
}

extension PriceTable {
  /// - Throws: `WireError`, for example `unknownValue` if a model has two prices from the same
  ///   time.
  init(wire message: Tutti__V1__PriceTable) throws(WireError) {
    let count = unsafe message.n_rows
    guard count <= Limits.publishedPrices.value else {
      throw .tooManyElements(limit: Limits.publishedPrices.value)
    }
    let rows = try unsafe elements(count, message.rows) { row throws(WireError) in
      PriceRow(
        model: ModelID(try unsafe String(wire: row.model, "ClientPrice.model")),
        effectiveFrom: unsafe row.effective_from_ms,
        price: try unsafe tokenPrice(row.price, "ClientPrice.price"))
    }
    let unknown = try unsafe UnknownPrice(wire: message.unknown, "PriceTable.unknown")
    do throws(PriceRowRefusal) {
      try self.init(
        epoch: unsafe message.epoch, revision: unsafe message.revision, unknown: unknown,
        rows: rows)
    } catch {
      throw .unknownValue(field: "PriceTable.rows")
    }
  }
}

private func tokenPrice(
  _ message: UnsafeMutablePointer<Tutti__V1__TokenPrice>?, _ field: StaticString
) throws(WireError) -> TokenPrice {
  try unsafe required(message, field) { value throws(WireError) in
    do throws(MoneyError) {
      return try TokenPrice(
        input: MicroCredits(unsafe value.input),
        cachedInput: MicroCredits(unsafe value.cached_input),
        output: MicroCredits(unsafe value.output))
    } catch {
      throw .unknownValue(field: "\(field)")
    }
  }
}

func tokenUsage(
  _ message: UnsafeMutablePointer<Tutti__V1__BilledTokens>?, _ field: StaticString
) throws(WireError) -> TokenUsage {
  try unsafe required(message, field) { value throws(WireError) in
    do throws(MoneyError) {
      return try TokenUsage(
        prompt: unsafe value.prompt, cached: unsafe value.cached,
        completion: unsafe value.completion)
    } catch {
      throw .unknownValue(field: "\(field)")
    }
  }
}
