import ClusterModel
import Text

/// Reads the option `documents`: texts that tasks may look things up in.
struct DocumentOption {
  private(set) var documents: [Document] = []
  private var bytes = 0
  private var names: Set<String> = []

  /// - Returns: what is wrong with the element; nil: it was taken.
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
    guard documents.count < TuttiOptions.maximumDocuments,
      bytes <= TuttiOptions.maximumDocumentBytes
    else {
      return "must have at most \(TuttiOptions.maximumDocuments) elements and "
        + "\(TuttiOptions.maximumDocumentBytes) bytes in all; \(place) is one too many"
    }
    guard Self.isText(text) else {
      return "\(place).text is binary; send the text that is in it"
    }
    documents.append(Document(name: name, text: text))
    return nil
  }

  /// A file that is no text has zero bytes, or bytes that no text has in such numbers: control
  /// characters, and what a decoder put where it could not decode.
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
    // A stray one is a slip of an editor; one in a hundred is not.
    return strange * 100 <= count
  }
}
