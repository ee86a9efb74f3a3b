extension ChunkFacts {
  /// Estimate of the chunk's tokens if the host does not report them: 1 if the chunk adds
  /// anything, otherwise 0.
  public var tokens: Int { text.isEmpty && !hasOther ? 0 : 1 }
}
