/* Reports the slow path of Swift's Mutex to ThreadSanitizer.
 *
 * The fast path is inlined into the instrumented tests. The slow path, for a thread that waits for
 * another, is in the Swift library, which is not instrumented, so each contended lock would be
 * reported as a race. Tools/sanitize.sh preloads this file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

/* NULL in programs without the sanitizer. */
extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));

static void *next(const char *symbol) { return dlsym(RTLD_NEXT, symbol); }

SWIFT void lock_slow(uint32_t thread, SELF)
    __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
SWIFT void lock_slow(uint32_t thread, SELF) {
  SWIFT void (*lock)(uint32_t, SELF) = next("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
  lock(thread, self);
  if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT void unlock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
SWIFT void unlock_slow(SELF) {
  SWIFT void (*unlock)(SELF) = next("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
  if (__tsan_release) __tsan_release(self);
  unlock(self);
}

SWIFT bool try_lock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
SWIFT bool try_lock_slow(SELF) {
  SWIFT bool (*attempt)(SELF) = next("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
  bool is_locked = attempt(self);
  if (is_locked && __tsan_acquire) __tsan_acquire(self);
  return is_locked;
}
