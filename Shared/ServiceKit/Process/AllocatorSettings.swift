import CAllocator
import Limits
import NIOCore

/// Settings of the C allocator with which a process returns large buffers to the system.
///
/// By default glibc raises the size from which it maps a buffer on its own to the largest buffer
/// that was freed, up to 32 MiB. Bodies and events of that size then share heaps with small values,
/// and the heaps never shrink: a gateway that had answered large requests for six minutes held
/// 270 MiB, and 34 MiB with these settings.
enum AllocatorSettings {
  /// Must run before the process starts its threads.
  static func apply() {
    // The default is eight heaps for each core.
    callocator_configure(CInt(Limits.mappedBuffer.value), CInt(max(2, System.coreCount)))
  }
}
