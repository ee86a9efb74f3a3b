/// Finds whole JSON objects and arrays in text that is not JSON: in a fence, behind "Here it is:",
/// among several.
///
/// Linear in the bytes: where a value breaks off, the search goes on there, not behind its beginning.
public enum JSONSearch {
  /// The first object or array that `isWanted` takes; nil: there is none.
  public static func first(
    in bytes: [UInt8], maximumDepth: Int = JSONDocument.standardDepth,
    where isWanted: (JSONValue) -> Bool = { _ in true }
  ) -> JSONValue? {
    var cursor = JSONCursor(bytes: bytes)
    while let start = bytes[cursor.position...].firstIndex(where: isOpening) {
      cursor.position = start
      do {
        let value = try cursor.validateValue(maximumDepth: maximumDepth)
        if isWanted(value) { return value }
      } catch {
        cursor.position = max(error.offset, start + 1)
      }
    }
    return nil
  }

  private static func isOpening(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[")
  }
}
