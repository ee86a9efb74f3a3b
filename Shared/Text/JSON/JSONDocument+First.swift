extension JSONDocument {
  /// The first element of an array; `nil` if it is empty or no array.
  public func firstElement(of value: JSONValue) -> JSONValue? {
    var first: JSONValue?
    forEachElement(of: value) {
      first = $0
      return false
    }
    return first
  }
}
