import Limits

/// Assembles access tables from pages that may be lost, repeated or reordered.
///
/// A table is replaced only after all pages of another version have arrived. That version is newer,
/// or the live registry sent it in answer to a request. One version is assembled at a time.
public struct AccessTableFeed: Sendable {
  /// The last table of which all pages have arrived. `nil` means that there is none, and the caller
  /// answers requests with 503.
  public private(set) var table: AccessTable?
  private var partial: Partial?

  public enum Outcome: Equatable, Sendable {
    /// The page is old, damaged, was received before, or contradicts another page of its version.
    case ignored
    /// This many pages of the version are missing.
    case incomplete(missing: Int)
    /// All pages have arrived, and `table` is this version now.
    case replaced
  }

  public init() {}

  /// - Parameter isAnswer: whether the registry sent the page in answer to a request of this
  ///   process. Such a page comes from the live registry. It is accepted even if its epoch is lower
  ///   than that of the table, because the registry's clock may have been set back.
  public mutating func received(_ page: AccessTablePage, isAnswer: Bool = false) -> Outcome {
    func isNews(after version: AccessTableVersion?) -> Bool {
      guard let version else { return true }
      return version < page.version || isAnswer && version.epoch != page.version.epoch
    }
    guard page.isPlausible, isNews(after: table?.version) else { return .ignored }
    if isNews(after: partial?.version) { partial = Partial(page) }
    guard partial?.add(page) == true, let partial else { return .ignored }
    guard partial.missing == 0 else { return .incomplete(missing: partial.missing) }
    table = partial.table
    self.partial = nil
    return .replaced
  }

  /// Pages of one version.
  private struct Partial: Sendable {
    let version: AccessTableVersion
    private let isOpen: Bool
    private let pepper: KeyPepper
    private var parts: [[KeyRecord]?]
    private var recordCount = 0
    private(set) var missing: Int

    init(_ page: AccessTablePage) {
      version = page.version
      isOpen = page.isOpen
      pepper = page.pepper
      parts = Array(repeating: nil, count: page.pages)
      missing = page.pages
    }

    /// - Returns: whether the page was missing and is consistent with the others.
    mutating func add(_ page: AccessTablePage) -> Bool {
      guard page.version == version, page.pages == parts.count, page.isOpen == isOpen,
        page.pepper == pepper, parts[page.page] == nil,
        recordCount + page.records.count <= Limits.accessKeys.value
      else { return false }
      parts[page.page] = page.records
      recordCount += page.records.count
      missing -= 1
      return true
    }

    var table: AccessTable {
      AccessTable(
        version: version, isOpen: isOpen, pepper: pepper, records: parts.flatMap { $0 ?? [] })
    }
  }
}
