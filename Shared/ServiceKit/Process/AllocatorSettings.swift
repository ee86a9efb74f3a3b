import Limits

#if canImport(Glibc)
  import Glibc
#endif

/// Settings of the C allocator with which a process returns large buffers to the system.
///
/// By default glibc raises the size from which it maps a buffer on its own to the largest buffer
/// that was freed, up to 32 MiB. Bodies and events of that size then share heaps with small values,
/// and the heaps never shrink: a gateway that had answered large requests for six minutes held
/// 270 MiB, and 34 MiB with these settings.
enum AllocatorSettings {
  /// Must run before the process starts its threads.
  static func apply() {
    #if canImport(Glibc)
      mallopt(M_MMAP_THRESHOLD, Int32(Limits.mappedBuffer.value))
      // Each heap keeps its own free memory. The default is eight for each core.
      mallopt(M_ARENA_MAX, Int32(max(2, get_nprocs())))
    #endif
  }
}
