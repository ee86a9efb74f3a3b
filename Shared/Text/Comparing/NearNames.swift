import Limits

/// Suggestions for a misspelt name.
public enum NearNames {
  /// Returns at most three of `known` that `name` was probably meant to be, the nearest first.
  ///
  /// One letter may differ, or up to a third of the longer name. Exception: if one name is part of
  /// the other and has three letters or more, any number of letters may differ, and they count as
  /// at most two typing errors.
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
    // Known names, indexed by the difference of their length from the length of `name`. Names of
    // similar length are compared first.
    var similar: [[(name: String, letters: [UInt8])]] = []
    for candidate in known.prefix(Limits.examinedNames.value) {
      let other = letters(of: candidate)
      let difference = abs(sought.count - other.count)
      if isPart(sought, of: other) || isPart(other, of: sought) {
        found.append((min(2, difference), candidate))
      } else if difference <= allowed(sought, other) {
        while similar.count <= difference { similar.append([]) }
        similar[difference].append((candidate, other))
      }
    }
    for candidate in similar.joined().prefix(Limits.comparedNames.value) {
      if let distance = distance(
        sought, candidate.letters, atMost: allowed(sought, candidate.letters), work: &work)
      {
        found.append((distance, candidate.name))
      }
    }
    return found.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
  }

  /// Levenshtein distance in which two exchanged neighbours count as one error.
  ///
  /// Only pairs of letters at most `limit` places apart are compared, and the comparison ends as soon
  /// as the distance is above the limit.
  ///
  /// - Returns: `nil` if the distance is above the limit.
  public static func distance<Letter: Equatable>(
    _ left: [Letter], _ right: [Letter], atMost limit: Int, work: inout Int
  ) -> Int? {
    guard limit >= 0, abs(left.count - right.count) <= limit else { return nil }
    let far = limit + 1
    // Three rows of the table of distances in one array: the current row and the two rows above it.
    let width = right.count + 1
    var rows = [Int](repeating: far, count: 3 * width)
    for j in 0..<min(width, far) { rows[j] = j }
    var (previous, row, beforePrevious) = (0, width, 2 * width)
    var leastBefore = 0
    for i in left.indices {
      let first = max(0, i - limit)
      let end = min(right.count, i + limit + 1)
      var last = first == 0 ? min(i + 1, far) : far
      rows[row + first] = last
      var least = last
      var diagonal = rows[previous + first]
      for j in first..<end {
        let above = rows[previous + j + 1]
        var cost = min(diagonal + (left[i] == right[j] ? 0 : 1), above + 1, last + 1, far)
        if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
          cost = min(cost, rows[beforePrevious + j - 1] + 1)
        }
        (diagonal, last) = (above, cost)
        rows[row + j + 1] = cost
        least = min(least, cost)
      }
      work += end - first
      // The next row reads one place beyond the last place of this row.
      if end < right.count { rows[row + end + 1] = far }
      // Exchanged neighbours are computed from two rows above. The comparison ends if both of the
      // last two rows are above the limit.
      guard min(least, leastBefore) < far else { return nil }
      leastBefore = least
      (beforePrevious, previous, row) = (previous, row, beforePrevious)
    }
    let distance = rows[previous + right.count]
    return distance < far ? distance : nil
  }

  /// The first bytes of a name, with the letters of ASCII in lower case. Unicode's rules for other
  /// letters would take 20 times as long for a name from outside.
  private static func letters(of name: String) -> [UInt8] {
    name.utf8.prefix(Limits.comparedNameBytes.value).map { byte in
      UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
    }
  }

  private static func isPart(_ part: [UInt8], of text: [UInt8]) -> Bool {
    part.count >= 3 && text.count >= part.count && ByteSearch.contains(text, part)
  }

  private static func allowed(_ left: [UInt8], _ right: [UInt8]) -> Int {
    max(1, max(left.count, right.count) / 3)
  }
}
