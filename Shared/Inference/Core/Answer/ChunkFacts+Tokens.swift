extension ChunkFacts {
  /// Tokens that a chunk counts as if no host reports a count: 1 if the chunk adds anything,
  /// otherwise 0.
  public var tokens: Int { text.isEmpty && !hasOther ? 0 : 1 }
}
