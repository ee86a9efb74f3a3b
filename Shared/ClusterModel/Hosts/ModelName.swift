/// Properties read from a model's name, because hosts rarely report them.
public struct ModelName: Hashable, Sendable {
  public enum Tag: String, CaseIterable, Sendable {
    case code, reasoning, vision, base
  }

  /// Parameters in millions. `nil` means that the name does not contain them.
  public let sizeMillions: Int?
  public let tags: Set<Tag>

  public init(_ model: ModelID) {
    let words = model.name.lowercased().split { !($0.isLetter || $0.isNumber || $0 == ".") }
      .map { String($0) }
    // In "Qwen2.5-7B-Instruct-1M", the larger number is the size and the other one the context. In
    // a mixture of experts ("30B-A3B"), the larger number is the total size.
    sizeMillions = words.compactMap(Self.size).max()
    var tags: Set<Tag> = []
    let name = model.name.lowercased()
    if ["code", "coder", "starcoder"].contains(where: name.contains) { tags.insert(.code) }
    if words.contains(where: { ["r1", "qwq", "think", "thinking", "o1", "o3", "o4"].contains($0) })
      || name.contains("reason")
    {
      tags.insert(.reasoning)
    }
    if words.contains(where: { ["vl", "vision", "llava"].contains($0) }) { tags.insert(.vision) }
    if words.contains("base") { tags.insert(.base) }
    self.tags = tags
  }

  /// Reads "135m", "7b", "1.5b", "8x7b" or "e4b".
  private static func size(_ word: String) -> Int? {
    guard let unit = word.last, unit == "b" || unit == "m" else { return nil }
    var digits = word.dropLast()
    if digits.first == "e" || digits.first == "a" { digits = digits.dropFirst() }
    let factors = digits.split(separator: "x", omittingEmptySubsequences: false)
    guard (1...2).contains(factors.count) else { return nil }
    var size = unit == "b" ? 1_000.0 : 1.0
    for factor in factors {
      guard factor.first?.isNumber == true, factor.allSatisfy({ $0.isNumber || $0 == "." }),
        let number = Double(factor), number > 0, number < 10_000
      else { return nil }
      size *= number
    }
    // No model has more parameters, so a larger number means something else.
    return size >= 1 && size <= 5_000_000 ? Int(size) : nil
  }

  /// Formats a size: "7B", "135M".
  public static func shown(_ millions: Int) -> String {
    guard millions >= 1_000 else { return "\(millions)M" }
    let tenths = (millions + 50) / 100
    return tenths % 10 == 0 ? "\(tenths / 10)B" : "\(tenths / 10).\(tenths % 10)B"
  }
}
