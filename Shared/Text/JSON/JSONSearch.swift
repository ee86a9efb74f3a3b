/// Finds complete JSON objects and arrays within other text, for example in a fence or after "Here
/// it is:".
///
/// The time is linear in the bytes: if a value is broken, the search resumes at the error, not at
/// the start of the value.
public enum JSONSearch {
  /// The first object or array that `isWanted` accepts. Values within a rejected one are not
  /// examined. `nil` means that there is none.
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
