#pragma once

/// Returns freed large buffers to the system, and limits the number of heaps.
///
/// On systems without glibc this does nothing.
///
/// - Parameters:
///   - bytes: Buffers from this size on are mapped one by one, and returned when they are freed.
///   - heaps: Maximum number of heaps; each keeps its own free memory.
void callocator_configure(int bytes, int heaps);
