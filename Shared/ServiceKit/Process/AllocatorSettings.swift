import CAllocator
import Limits
import NIOCore

/// Settings of the C allocator with which a process returns large buffers to the system.
///
/// glibc maps a buffer separately if it exceeds a threshold. By default the threshold rises to the
/// size of the largest mapped buffer that was freed, up to 32 MiB. Bodies and events below the
/// threshold then share heaps with small values, and the heaps never shrink: a gateway that had
/// answered large requests for six minutes held 270 MiB, and 34 MiB with these settings.
enum AllocatorSettings {
  /// Must run before the process starts its threads.
  static func apply() {
    // The default is eight heaps for each core.
    callocator_configure(CInt(Limits.mappedBuffer.value), CInt(max(2, System.coreCount)))
  }
}
