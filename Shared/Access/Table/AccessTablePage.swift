import Limits

/// Version of an access table. A restarted registry has another epoch, which is higher unless its
/// clock was set back.
public struct AccessTableVersion: Hashable, Comparable, Codable, Sendable {
  public let epoch: UInt64
  public let revision: UInt64

  public init(epoch: UInt64, revision: UInt64) {
    self.epoch = epoch
    self.revision = revision
  }

  public static func < (left: AccessTableVersion, right: AccessTableVersion) -> Bool {
    (left.epoch, left.revision) < (right.epoch, right.revision)
  }
}

/// One part of a published access table, small enough for one frame of the bus.
public struct AccessTablePage: Hashable, Sendable {
  public let version: AccessTableVersion
  /// Number of this page, from 0.
  public let page: Int
  /// Number of pages of this version.
  public let pages: Int
  public let isOpen: Bool
  public let pepper: KeyPepper
  public let records: [KeyRecord]

  public init(
    version: AccessTableVersion, page: Int, pages: Int, isOpen: Bool, pepper: KeyPepper,
    records: [KeyRecord]
  ) {
    self.version = version
    self.page = page
    self.pages = pages
    self.isOpen = isOpen
    self.pepper = pepper
    self.records = records
  }

  /// Divides a table into pages. A table without records has one page.
  ///
  /// - Parameter records: at most `access.keys` valid records. A valid record has no `problem`.
  public static func pages(
    version: AccessTableVersion, isOpen: Bool, pepper: KeyPepper, records: some Sequence<KeyRecord>
  ) -> [AccessTablePage] {
    var parts: [[KeyRecord]] = [[]]
    var bytes = 0
    for record in records {
      bytes = bytes.addingCapped(record.pageBytes)
      if bytes > Limits.accessPageBytes.value, parts.last?.isEmpty == false {
        parts.append([])
        bytes = record.pageBytes
      }
      parts[parts.count - 1].append(record)
    }
    return parts.enumerated().map { number, records in
      AccessTablePage(
        version: version, page: number, pages: parts.count, isOpen: isOpen, pepper: pepper,
        records: records)
    }
  }

  /// The table for processes that must know only whether requests need a key. It has no keys and
  /// not the cluster's pepper.
  public var withoutKeys: AccessTablePage {
    AccessTablePage(
      version: version, page: 0, pages: 1, isOpen: isOpen, pepper: .placeholder, records: [])
  }

  /// Whether a page of a valid table can have these numbers.
  var isPlausible: Bool {
    (1...Limits.accessPages.value).contains(pages) && (0..<pages).contains(page)
      && records.count <= Limits.accessKeys.value
  }
}
