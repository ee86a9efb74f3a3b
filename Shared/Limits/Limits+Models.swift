extension Limits {
  static let models: [Limit] = [
    modelRecords, modelAliasTargets, modelRecordPools, modelRecordVersions, listedModelBytes,
    listedModelOffers, skillModels, skillRows,
  ]

  public static let modelRecords = Limit(
    "models.records", 1_000, .count,
    "An admin's records of models. Each alias adds at most one offer to each host that has one of "
      + "its models, and one price.")
  public static let modelAliasTargets = Limit(
    "models.alias_targets", 16, .count,
    "Models that an alias stands for. One model has fewer builds, even on servers of all kinds.")
  public static let modelRecordPools = Limit(
    "models.record_pools", 16, .count, "As many tags as a host can have.")
  public static let modelRecordVersions = Limit(
    "models.record_versions", 16, .count, "More kinds of servers than there are.")
  public static let listedModelBytes = Limit(
    "models.listed_bytes", 4 << 20, .bytes,
    "Models that hosts list, including those that records leave out: eight times "
      + "table.offer_bytes. They are kept, so that a change of a record takes effect without a "
      + "probe.")
  public static let listedModelOffers = Limit(
    "models.listed_offers", 10_000, .count,
    "Pairs of a model and a host in one page of the admin API: some 70 bytes each.")
  public static let skillModels = Limit(
    "models.skill_models", 256, .count,
    "As many models as tasks choose from. Of more, those with the fewest drafts are forgotten.")
  public static let skillRows = Limit(
    "models.skill_rows", 1_280, .count,
    "Five kinds of answers of each of these models, and as many gains of patterns. With long "
      + "names, both lists have 800 KiB, and a frame holds 1 MiB.")
}
