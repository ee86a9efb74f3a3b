extension ChunkFacts {
  /// Token count of a chunk if no host reports one: 1 if the chunk adds anything, otherwise 0.
  public var tokens: Int { text.isEmpty && !hasOther ? 0 : 1 }
}
