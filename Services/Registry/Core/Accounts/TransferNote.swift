public import Money
internal import Text

/// Note of an admin's transfer in the ledger: the admin's name and remark, as one line of JSON.
public struct TransferNote: Hashable, Sendable {
  /// Name of the admin, as the audit log has it. `nil` means that the ledger does not have it.
  public let author: String?
  /// Text that the admin wrote, or the whole note of a transaction that is no transfer.
  public let remark: String

  init(author: String?, remark: String) {
    self.author = author
    self.remark = remark
  }

  /// Reads the note of a transaction.
  public init(of transaction: LedgerTransaction) {
    switch transaction.kind {
    case .credit, .payout, .correction: self.init(transaction.note)
    case .hold, .release, .settle: self.init(author: nil, remark: transaction.note)
    }
  }

  private init(_ text: String) {
    guard text.utf8.first == UInt8(ascii: "{"),
      let document = try? JSONDocument(validating: Array(text.utf8), maximumDepth: 1),
      let author = document.value("author", in: document.root).flatMap(document.string),
      let remark = document.value("note", in: document.root).flatMap(document.string)
    else {
      // Transfers of earlier versions have only the remark.
      self.init(author: nil, remark: text)
      return
    }
    let note = Self(author: author, remark: remark)
    // A remark of an earlier version may be JSON with these members. Unless it is exactly the text
    // that this version writes, it is shown unchanged.
    self = note.text == text ? note : Self(author: nil, remark: text)
  }

  /// The note as the ledger keeps it.
  var text: String {
    guard let author else { return remark }
    let note: JSON = ["author": .string(author), "note": .string(remark)]
    return String(decoding: note.encoded, as: UTF8.self)
  }
}
