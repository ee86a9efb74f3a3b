extension ChunkFacts {
  /// What a chunk counts for where no host has told its tokens: one if it says something.
  public var tokens: Int { text.isEmpty && !hasOther ? 0 : 1 }
}
