extension JSONDocument {
  /// The first element of an array. `nil` means that the value is an empty array or no array.
  public func firstElement(of value: JSONValue) -> JSONValue? {
    var first: JSONValue?
    forEachElement(of: value) {
      first = $0
      return false
    }
    return first
  }
}
