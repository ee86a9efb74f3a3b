/// The candidate that `name` was probably meant to be; `nil` if no candidate is similar.
///
/// Similar means that at most a third of the letters differ (Levenshtein distance; a transposition
/// of two neighbours counts as one), or that one is a prefix of the other.
public func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
  // Longer names are not typing mistakes, and the comparison is quadratic.
  let limit = 64
  guard name.count <= limit else { return nil }
  let wanted = Array(name.lowercased())
  var best: (candidate: String, distance: Int)?
  for candidate in candidates where candidate.count <= limit {
    let letters = Array(candidate.lowercased())
    var distance = editDistance(wanted, letters)
    if wanted.count >= 4, letters.starts(with: wanted) || wanted.starts(with: letters) {
      distance = min(distance, 2)
    }
    guard distance <= max(1, max(wanted.count, letters.count) / 3) else { continue }
    if best.map({ distance < $0.distance }) ?? true { best = (candidate, distance) }
  }
  return best?.candidate
}

private func editDistance(_ left: [Character], _ right: [Character]) -> Int {
  var beforePrevious: [Int] = []
  var previous = Array(0...right.count)
  for i in left.indices {
    var row = [i + 1]
    row.reserveCapacity(right.count + 1)
    for j in right.indices {
      let substitution = previous[j] + (left[i] == right[j] ? 0 : 1)
      var cost = min(substitution, previous[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
        cost = min(cost, beforePrevious[j - 1] + 1)
      }
      row.append(cost)
    }
    beforePrevious = previous
    previous = row
  }
  return previous[right.count]
}
