import Money

extension [SettledAnswer] {
  /// Cost of all answers for the client.
  /// - Parameter standard: price of answers without a price of their own.
  func cost(at standard: TokenPrice) -> Int128 { cost(at: standard, promptLimit: .max) }

  private func cost(at standard: TokenPrice, promptLimit: Int64) -> Int128 {
    reduce(Int128(0)) { sum, answer in
      let usage = answer.usage.limitingPrompt(to: promptLimit)
      let cost = try? (answer.price ?? standard).cost(of: usage)
      return sum + Int128(cost?.count ?? .max)
    }
  }

  /// The answers with one limit for each prompt, if they cost more than the client pays.
  ///
  /// A host itself counts the prompt tokens for which it is paid. With a false count it would earn
  /// more than the client pays, at the operator's expense. The limit lowers the highest counts, so
  /// that one host's false count does not lower the pay of other hosts.
  ///
  /// - Parameters:
  ///   - cost: amount that the client pays. The answers still cost at least this amount.
  ///   - tokens: prompt tokens of all answers that stay even if they cost more.
  func limitingPrompts(
    toCost cost: Int128, at standard: TokenPrice, butAtLeast tokens: Int
  ) -> [SettledAnswer] {
    func suffices(_ limit: Int64) -> Bool {
      let prompts = reduce(Int128(0)) { $0 + Int128(Swift.min($1.usage.prompt, limit)) }
      return prompts >= Int128(tokens) && self.cost(at: standard, promptLimit: limit) >= cost
    }
    var highest = map(\.usage.prompt).max() ?? 0
    guard suffices(highest) else { return self }
    // Finds the lowest limit that suffices.
    var lowest: Int64 = 0
    while lowest < highest {
      let middle = lowest + (highest - lowest) / 2
      if suffices(middle) { highest = middle } else { lowest = middle + 1 }
    }
    return map { answer in
      var limited = answer
      limited.usage = answer.usage.limitingPrompt(to: highest)
      for index in limited.attempts.indices {
        limited.attempts[index].usage = limited.attempts[index].usage.limitingPrompt(to: highest)
      }
      return limited
    }
  }
}

extension TokenUsage {
  /// The usage with at most this many prompt tokens, and with no more cached tokens than that.
  fileprivate func limitingPrompt(to most: Int64) -> TokenUsage {
    guard prompt > most else { return self }
    // This cannot fail, because no count is negative and at most the whole prompt is cached.
    let limited = try? TokenUsage(
      prompt: most, cached: min(cached, most), completion: completion)
    return limited ?? self
  }
}
