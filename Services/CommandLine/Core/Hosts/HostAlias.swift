public import ClusterModel
import Text

/// An alias for a model of a new host: `NAME`, or `NAME=MODEL`.
public struct HostAlias: Hashable, Sendable {
  public let name: ModelID
  /// `nil` means the only chat model of the host.
  let model: ModelID?

  public init(_ text: String) throws(ProcessFailure) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      .map(String.init)
    name = ModelID(parts.first ?? "")
    model = parts.count > 1 ? ModelID(parts[1]) : nil
    let texts = [name.name] + (model.map { [$0.name] } ?? [])
    guard texts.allSatisfy({ !$0.utf8.isEmpty && $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } })
    else {
      throw ProcessFailure(
        .usage,
        "--alias: “\(text.cut(toBytes: 40))” is not NAME or NAME=MODEL, for example "
          + "fast=qwen3:8b")
    }
    guard name != model else {
      throw ProcessFailure(
        .usage, "--alias: “\(text.cut(toBytes: 40))” would stand for itself; name another model")
    }
  }

  /// The model for which the alias shall stand.
  ///
  /// - Throws: if the alias names no model, and the host does not list exactly one chat model.
  public func model(of host: HostDetails) throws(ProcessFailure) -> ModelID {
    if let model { return model }
    let models = (host.models ?? []).filter { $0.aliasOf == nil }.map { ModelID($0.id) }
      .filter { $0 != name && ModelOffer(id: $0).isChat }
    if models.count == 1, let only = models.first { return only }
    let found =
      models.isEmpty
      ? "the host lists no chat model yet"
      : "the host lists \(models.count) chat models, such as "
        + models.prefix(3).map(\.name).joined(separator: ", ")
    throw ProcessFailure(
      models.isEmpty ? .tryLater : .failed,
      "alias \(name) is not set, because \(found); set it with `tutti models alias \(name) MODEL`")
  }

  /// The body of a request that adds the model to those for which the alias stands.
  ///
  /// - Parameter present: models for which the alias stands already. They stay, and are preferred.
  /// - Returns: `nil` if the alias stands for the model already.
  public static func body(of model: ModelID, after present: [String]) -> [UInt8]? {
    guard !present.contains(model.name) else { return nil }
    return JSON.object([
      ("stands_for", .array((present + [model.name]).map(JSON.string)))
    ]).encoded
  }
}
