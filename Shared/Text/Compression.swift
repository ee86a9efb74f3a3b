import Limits

/// What a text is made of, as far as cutting it goes.
public enum TextShape: String, Hashable, Sendable {
  case prose, markdown, list, json
}

/// Makes a text fit into a budget of tokens without asking a model: normalises it, takes out what it
/// says twice, keeps its skeleton (headings, bullets, JSON keys), and cuts from the middle of what is
/// left, so that 60 % of what stays are its beginning and 40 % its end (seed 001, §II.C).
///
/// The same bytes give the same bytes on every machine. Doing it twice changes nothing. A code fence
/// stays closed and JSON stays JSON.
public enum Compression {
  /// Stands where something was left out.
  public static let marker = "[…]"

  /// Tokens of a text when nobody has counted them: its bytes ÷ 4, rounded up.
  public static func estimatedTokens(_ text: String) -> Int { (text.utf8.count + 3) / 4 }

  /// - Parameters:
  ///   - budget: tokens the result may have. With less than one the result is empty; with one, JSON
  ///     becomes the smallest of its kind, `{}`, whatever the estimate of that is.
  ///   - estimate: tokens of a text. Of two texts, the one that begins the other must not have more.
  public static func compressed(
    _ text: String, toTokens budget: Int, estimate: (String) -> Int = estimatedTokens
  ) -> String {
    var work = 0
    return compressed(text, toTokens: budget, estimate: estimate, work: &work)
  }

  /// - Parameter work: gains one unit per byte, line and rendition.
  static func compressed(
    _ text: String, toTokens budget: Int, estimate: (String) -> Int = estimatedTokens,
    work: inout Int
  ) -> String {
    guard budget > 0 else { return "" }
    let fits = { (bytes: [UInt8]) in estimate(String(decoding: bytes, as: UTF8.self)) <= budget }
    var current = Array(text.utf8)
    // What a pass leaves is left alone by the next, except where a cut has made two lines equal or
    // has taken the backticks from around a token. Every such pass takes something out.
    for _ in 0..<maximumPasses {
      let next = pass(current, startingAt: budget.multipliedCapped(by: 4), fits, &work)
      if next == current { break }
      current = next
    }
    return String(decoding: current, as: UTF8.self)
  }

  /// Far more than any text seen needed, which is three.
  private static let maximumPasses = 16

  /// The shape by which a text would be compressed.
  public static func shape(of text: String) -> TextShape {
    let bytes = Array(text.utf8)
    return isJSON(bytes) ? .json : Outline(bytes).shape
  }

  private static func isJSON(_ bytes: [UInt8]) -> Bool {
    (try? JSONDocument(validating: bytes, maximumDepth: JSONElision.maximumDepth)) != nil
  }

  private static func pass(
    _ bytes: [UInt8], startingAt guess: Int, _ fits: ([UInt8]) -> Bool, _ work: inout Int
  ) -> [UInt8] {
    work += 4 * bytes.count
    let normal = Normaliser.normalised(bytes)
    for json in [normal, bytes] where isJSON(json) {
      if fits(json) { return json }
      let elision = JSONElision(json)
      return largest(upTo: json.count, startingAt: guess, fits, &work) {
        elision.rendered(within: $0)
      } ?? elision.smallest
    }
    var outline = Outline(normal)
    outline.removeRepetitions()
    let whole = outline.rendered
    if fits(whole) { return whole }
    for level in (0...Outline.deepestHeading).reversed() {
      let cut = OutlineCut(outline, keepingHeadings: level)
      // A skeleton that takes more than half is cut like the rest, its lowest headings first.
      let skeleton = cut.rendered(within: 0)
      guard level == 0 || fits(skeleton + skeleton) else { continue }
      work += outline.units.count
      let result = largest(upTo: whole.count, startingAt: guess, fits, &work) { room in
        cut.rendered(within: room)
      }
      if let result { return result }
    }
    let marker = Array(Self.marker.utf8)
    return fits(marker) ? marker : []
  }

  /// The rendition with the most bytes that fits, by bisection.
  private static func largest(
    upTo limit: Int, startingAt guess: Int, _ fits: ([UInt8]) -> Bool, _ work: inout Int,
    _ render: (Int) -> [UInt8]
  ) -> [UInt8]? {
    var best: [UInt8]?
    var low = 0
    var high = limit
    var probe = min(guess, limit)
    while low <= high {
      let bytes = render(probe)
      // A rendition looks at all of the text.
      work += limit
      if fits(bytes) {
        if bytes.count >= best?.count ?? 0 { best = bytes }
        low = probe + 1
      } else {
        high = probe - 1
      }
      probe = (low + high) / 2
    }
    return best
  }
}
