import Limits

/// Shape of a text, which decides how it is cut.
public enum TextShape: String, Hashable, Sendable {
  case prose, markdown, list, json
}

/// Makes a text fit into a budget of tokens without a model.
///
/// It normalises the text, removes repetitions, keeps the skeleton (headings, JSON keys) and cuts
/// the middle of the rest. The beginning of the rest gets 60 % of the room, its end 40 % (seed 001,
/// §II.C).
///
/// The same bytes give the same result on every machine. Compressing a result again does not change
/// it. A code fence stays closed and JSON stays valid.
public enum Compression {
  /// Placeholder for omitted text.
  public static let marker = "[…]"

  /// - Parameters:
  ///   - budget: maximum tokens of the result. Below 1 the result is empty. If the smallest JSON of
  ///     the text's kind, such as `{}`, does not fit, it is returned nevertheless.
  ///   - estimate: tokens of a text. A prefix must not have more tokens than the whole text.
  public static func compressed(
    _ text: String, toTokens budget: Int, estimate: (String) -> Int = TokenEstimate.tokens(of:)
  ) -> String {
    var work = 0
    return compressed(text, toTokens: budget, estimate: estimate, work: &work)
  }

  /// - Parameter work: grows with the bytes, the lines and the renditions.
  static func compressed(
    _ text: String, toTokens budget: Int, estimate: (String) -> Int = TokenEstimate.tokens(of:),
    work: inout Int
  ) -> String {
    guard budget > 0 else { return "" }
    let fits = { (bytes: [UInt8]) in estimate(String(decoding: bytes, as: UTF8.self)) <= budget }
    var current = Array(text.utf8)
    // A second pass changes nothing, unless a cut has made two lines equal or has removed the
    // backticks around a token. Every such pass removes something.
    for _ in 0..<maximumPasses {
      let next = pass(current, startingAt: budget.multipliedCapped(by: 4), fits, &work)
      if next == current { break }
      current = next
    }
    return String(decoding: current, as: UTF8.self)
  }

  /// Maximum passes. No text seen needed more than three.
  private static let maximumPasses = 16

  /// The shape by which `compressed` cuts a text.
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
      // If the skeleton takes more than half of the budget, its lowest headings are cut like other
      // text.
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

  /// Finds the largest rendition that fits, by bisection.
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
      // A rendition walks the whole text.
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
