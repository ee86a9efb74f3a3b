import ClusterModel
import Text

/// Reads the option `documents`: texts in which tasks can look things up.
struct DocumentOption {
  private(set) var documents: [Document] = []
  private var bytes = 0
  private var names: Set<String> = []

  /// - Returns: the mistake in the element. `nil` means that it was accepted.
  mutating func take(_ element: JSONValue, in document: JSONDocument) -> String? {
    let place = "[\(documents.count)]"
    guard let text = document.value("text", in: element).flatMap(document.string),
      let name = document.value("name", in: element).flatMap(document.string)
    else { return "\(place) must be an object with the strings `name` and `text`" }
    guard !name.isEmpty, name.utf8.count <= PlanValidation.maximumNameBytes,
      name != PlanTask.everyDocument, Self.isText(name)
    else {
      return "\(place).name must have 1 to \(PlanValidation.maximumNameBytes) bytes of text, and "
        + "not be `\(PlanTask.everyDocument)`"
    }
    guard names.insert(name).inserted else { return "\(place).name is given twice" }
    bytes += text.utf8.count + name.utf8.count
    guard documents.count < PlanValidation.maximumDocuments,
      bytes <= TuttiOptions.maximumDocumentBytes
    else {
      return "must have at most \(PlanValidation.maximumDocuments) elements and "
        + "\(TuttiOptions.maximumDocumentBytes) bytes in all; \(place) is one too many"
    }
    guard Self.isText(text) else {
      return "\(place).text is binary; send the text that is in it"
    }
    documents.append(Document(name: name, text: text))
    return nil
  }

  /// Whether the string is text. Text has no zero bytes, few control characters and few U+FFFD,
  /// which a decoder inserts for bytes that it cannot decode.
  static func isText(_ text: String) -> Bool {
    var strange = 0
    var count = 0
    for scalar in text.unicodeScalars {
      count += 1
      switch scalar.value {
      case 0: return false
      case 0x09...0x0D, 0x1B: break
      case 0x01..<0x20, 0x7F, 0xFFFD: strange += 1
      default: break
      }
    }
    // An editor may leave a stray control character. More than one in a hundred means binary data.
    return strange * 100 <= count
  }
}
