import ClusterModel
import Text

/// Gives answers the client's name of the model, if the host uses another one.
enum AliasedAnswer {
  /// Replaces the host's name of the model by the client's. An answer without a model name is
  /// unchanged.
  static func renamed(_ items: [UpstreamItem], to model: ModelID) -> [UpstreamItem] {
    items.map { item in
      switch item {
      case .chunk(var chunk):
        chunk.data = renamed(chunk.data, to: model)
        return .chunk(chunk)
      case .body(let body, let facts): return .body(renamed(body, to: model), facts)
      case .done, .broken, .end: return item
      }
    }
  }

  private static func renamed(_ json: [UInt8], to model: ModelID) -> [UInt8] {
    // The JSON was parsed before, so the scanner does not fail.
    guard let scanner = try? JSONObjectScanner(json), scanner["model"] != nil else { return json }
    return scanner.edited(replacing: [("model", JSON.quoted(model.name))])
  }
}
