import Limits

/// Computes how many tokens of a prompt documents may have.
///
/// The planner's estimates, the dispatcher's token budget and the agents' prompts all use it.
public enum DocumentRoom {
  /// Assumed context of a host that does not report it, in tokens.
  public static let unknownContext = 4_096
  /// Minimum tokens for documents, even if the prompt leaves no room. A passage of a few sentences
  /// fits.
  static let leastTokens = 128

  /// - Parameters:
  ///   - context: context of the host, in tokens. `nil` means unknown.
  ///   - prompt: tokens of the prompt without documents.
  ///   - completion: maximum tokens of the answer.
  public static func tokens(context: Int?, prompt: Int, completion: Int) -> Int {
    let taken = max(0, prompt).addingCapped(max(0, completion))
    let left = max(0, context ?? unknownContext) - taken
    // Keep a fifth free, because dense texts have fewer than four bytes a token.
    return min(max(left - left / 5, leastTokens), Limits.documentTokens.value)
  }
}
