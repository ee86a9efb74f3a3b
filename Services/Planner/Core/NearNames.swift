import ClusterModel
import Limits
import Text

/// Returns the message for a model that no eligible host offers, with similar names.
func notFound(_ model: ModelID, among available: [ModelID]) -> String {
  let name = model.name.cut(toBytes: 128)
  let near = nearNames(to: name, among: available.map(\.name))
  guard near.isEmpty else {
    let names = near.map { "\"\($0)\"" }.joined(separator: ", ")
    return "No eligible host offers the model \"\(name)\". Did you mean \(names)?"
  }
  let some = available.prefix(5).map {
    "\"\($0.name.cut(toBytes: Limits.comparedNameBytes.value))\""
  }.joined(separator: ", ")
  let rest = available.count > 5 ? " and \(available.count - 5) more" : ""
  return "No eligible host offers the model \"\(name)\"; there is \(some)\(rest)."
}

/// Returns at most three of `names` that are similar to `name` or contain it, best first.
func nearNames(to name: String, among names: [String]) -> [String] {
  let wanted = Array(name.lowercased().utf8.prefix(Limits.comparedNameBytes.value))
  guard !wanted.isEmpty else { return [] }
  let allowed = max(2, wanted.count / 3)
  var ranked: [(distance: Int, name: String)] = []
  for candidate in names.prefix(Limits.comparedNames.value) {
    let lower = Array(
      candidate.lowercased().utf8.prefix(Limits.comparedNameBytes.value))
    let distance = ByteSearch.holds(lower, wanted) ? 1 : editDistance(wanted, lower)
    if distance <= allowed {
      ranked.append((distance, candidate.cut(toBytes: Limits.comparedNameBytes.value)))
    }
  }
  ranked.sort { ($0.distance, $0.name) < ($1.distance, $1.name) }
  return ranked.prefix(3).map(\.name)
}

/// Levenshtein distance.
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
  var previous = Array(0...right.count)
  for (row, letter) in left.enumerated() {
    var current = [row + 1]
    current.reserveCapacity(right.count + 1)
    for (column, other) in right.enumerated() {
      let replaced = previous[column] + (letter == other ? 0 : 1)
      current.append(min(replaced, previous[column + 1] + 1, current[column] + 1))
    }
    previous = current
  }
  return previous[right.count]
}
