#include "CAllocator.h"

#ifdef __linux__
#include <features.h>
#endif

#ifdef __GLIBC__
#include <malloc.h>

void callocator_configure(int bytes, int heaps) {
  mallopt(M_MMAP_THRESHOLD, bytes);
  mallopt(M_ARENA_MAX, heaps);
}
#else
void callocator_configure(int bytes, int heaps) {
  (void)bytes;
  (void)heaps;
}
#endif
