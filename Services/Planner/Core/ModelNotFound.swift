import ClusterModel
import Limits
import Text

/// Returns the message for a model that no eligible host offers, with similar names.
func notFound(_ model: ModelID, among available: [ModelID]) -> String {
  let name = model.name.cut(toBytes: 128)
  let near = NearNames.near(model.name, among: available.map(\.name))
  guard near.isEmpty else {
    let names = near.map { "\"\($0.cut(toBytes: Limits.comparedNameBytes.value))\"" }.joined(
      separator: ", ")
    return "No eligible host offers the model \"\(name)\". Did you mean \(names)?"
  }
  let some = available.prefix(5).map {
    "\"\($0.name.cut(toBytes: Limits.comparedNameBytes.value))\""
  }.joined(separator: ", ")
  let rest = available.count > 5 ? " and \(available.count - 5) more" : ""
  return "No eligible host offers the model \"\(name)\"; there is \(some)\(rest)."
}
