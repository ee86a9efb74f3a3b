import Limits

/// Suggestions for a misspelt name.
public enum NearNames {
  /// Returns at most three of `known` that `name` was probably meant to be, the nearest first.
  ///
  /// At most a third of the letters may differ. If one name is part of the other, they count as at
  /// most two typing errors apart.
  public static func near(_ name: String, among known: some Sequence<String>) -> [String] {
    var work = 0
    return near(name, among: known, work: &work)
  }

  /// - Parameter work: grows by one per pair of letters compared.
  public static func near(
    _ name: String, among known: some Sequence<String>, work: inout Int
  ) -> [String] {
    let sought = letters(of: name)
    guard !sought.isEmpty else { return [] }
    var found: [(distance: Int, name: String)] = []
    var similar: [(difference: Int, name: String, letters: [UInt8])] = []
    for candidate in known {
      let other = letters(of: candidate)
      if isPart(sought, of: other) || isPart(other, of: sought) {
        found.append((min(2, abs(sought.count - other.count)), candidate))
      } else if abs(sought.count - other.count) <= allowed(sought, other) {
        similar.append((abs(sought.count - other.count), candidate, other))
      }
    }
    similar.sort { ($0.difference, $0.name) < ($1.difference, $1.name) }
    for candidate in similar.prefix(Limits.comparedNames.value) {
      let distance = distance(sought, candidate.letters, work: &work)
      if distance <= allowed(sought, candidate.letters) {
        found.append((distance, candidate.name))
      }
    }
    return found.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
  }

  /// Levenshtein distance in which two exchanged neighbours count as one error.
  public static func distance<Letter: Equatable>(
    _ left: [Letter], _ right: [Letter], work: inout Int
  ) -> Int {
    work += left.count * right.count
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

  private static func letters(of name: String) -> [UInt8] {
    Array(name.lowercased().utf8.prefix(Limits.comparedNameBytes.value))
  }

  private static func isPart(_ part: [UInt8], of text: [UInt8]) -> Bool {
    part.count >= 3 && ByteSearch.contains(text, part)
  }

  private static func allowed(_ left: [UInt8], _ right: [UInt8]) -> Int {
    max(1, max(left.count, right.count) / 3)
  }
}
