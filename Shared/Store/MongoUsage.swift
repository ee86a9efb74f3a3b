internal import ClusterModel

/// The stages that sum a key's requests by day and model.
func usagePipeline(_ query: UsageQuery) -> [BSONDocument] {
  let since = BSONDocument().set("$gte", Int64(clamping: query.sinceUnixMicroseconds))
  let project = BSONDocument().set("model", 1).set("prompt_tokens", 1).set("cached_tokens", 1)
    .set("completion_tokens", 1)
    .set("day", day)
    .set("failed", oneIf(operation("$gte", "$status") { $0.set("1", 400) }))
    .set("tokens_estimated", oneIf(operation("$eq", "$tokens_estimated") { $0.set("1", true) }))
    .set("tokens", operation("$add", "$prompt_tokens") { $0.set("1", "$completion_tokens") })
    .set(
      "row",
      BSONDocument().set(
        "$concat",
        array: BSONDocument().set("0", BSONDocument().set("$toString", day)).set("1", " ")
          .set("2", "$model")))
  let group = BSONDocument().set("_id", "$row")
    .set("day", BSONDocument().set("$first", "$day"))
    .set("model", BSONDocument().set("$first", "$model"))
    .set("requests", BSONDocument().set("$sum", 1))
    .set("failed", BSONDocument().set("$sum", "$failed"))
    .set("prompt_tokens", BSONDocument().set("$sum", "$prompt_tokens"))
    .set("cached_tokens", BSONDocument().set("$sum", "$cached_tokens"))
    .set("completion_tokens", BSONDocument().set("$sum", "$completion_tokens"))
    .set("tokens_estimated", BSONDocument().set("$max", "$tokens_estimated"))
    .set("tokens", BSONDocument().set("$sum", "$tokens"))
  return [
    BSONDocument().set("$match", BSONDocument().set("key", query.key.storable).set("time", since)),
    BSONDocument().set("$project", project),
    BSONDocument().set("$group", group),
    BSONDocument().set(
      "$sort", BSONDocument().set("day", -1).set("tokens", -1).set("model", 1)),
    BSONDocument().set("$limit", query.limit + 1),
  ]
}

func usageRow(_ view: BSONView) -> KeyUsage.Row? {
  guard let day = view.number("day"), let model = view.text("model") else { return nil }
  func count(_ key: String) -> Int { Int(clamping: view.number(key) ?? 0) }
  return KeyUsage.Row(
    day: Int(clamping: day), model: model, requests: count("requests"), failed: count("failed"),
    usage: Usage(
      promptTokens: count("prompt_tokens"), cachedTokens: count("cached_tokens"),
      completionTokens: count("completion_tokens"),
      estimated: count("tokens_estimated") > 0))
}

/// Expression for the day of a document's time, in days since 1970.
private var day: BSONDocument {
  let days = operation("$divide", "$time") { $0.set("1", KeyUsage.dayMicroseconds) }
  return BSONDocument().set("$floor", days)
}

/// Expression that applies an operation to a member and a second operand.
private func operation(
  _ name: String, _ member: String, _ addOperand: (BSONDocument) -> BSONDocument
) -> BSONDocument {
  BSONDocument().set(name, array: addOperand(BSONDocument().set("0", member)))
}

/// Expression that is 1 if the condition holds, otherwise 0.
private func oneIf(_ condition: BSONDocument) -> BSONDocument {
  BSONDocument().set("$cond", BSONDocument().set("if", condition).set("then", 1).set("else", 0))
}
