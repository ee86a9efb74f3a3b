import ClusterModel
import Text

/// Answers of a host that knows the model by another name than the client.
enum AliasedAnswer {
  /// Puts the client's name of the model in the place of the host's. Answers without one stay
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
    // It was read before, so it can be read again.
    guard let scanner = try? JSONObjectScanner(json), scanner["model"] != nil else { return json }
    return scanner.edited(replacing: [("model", JSON.quoted(model.name))])
  }
}
