public import ClusterModel
public import Text

/// The bytes that go to a host.
public enum RequestBody {
  /// The client's body with `model` set and `tutti` left out; every other byte as it was.
  public static func forHost(_ body: [UInt8], model: ModelID) throws(JSONError) -> [UInt8] {
    let scanner = try JSONObjectScanner(body)
    if scanner["tutti"] == nil, let given = scanner["model"],
      scanner.document.string(given) == model.name
    {
      return body
    }
    return scanner.edited(
      replacing: [(name: "model", json: JSON.quoted(model.name))], removing: ["tutti"])
  }
}
