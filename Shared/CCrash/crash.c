#include "CCrash.h"

#ifdef __linux__
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Everything below runs in a signal handler of a process whose heap may be damaged and whose locks
// may be held. It uses only system calls and static memory.

static const int fatal_signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, SIGQUIT};

enum {
  /// Interval at which the watchdog checks whether the backtrace is done.
  watch_interval_ms = 20,
  frames = 64,
};

static struct sigaction previous[NSIG];
static char report_path[4096];
static int limit_seconds;
static long limit_bytes;
static int entered;

static void say(const char *text) {
  ssize_t written = write(2, text, strlen(text));
  (void)written;
}

static void say_number(unsigned long number, unsigned base) {
  char digits[24];
  char *next = digits + sizeof digits;
  *--next = 0;
  do {
    *--next = "0123456789abcdef"[number % base];
    number /= base;
  } while (number > 0);
  say(next);
}

/// Forks without fork(2) of the library, which takes locks that another thread may hold.
static pid_t fork_only(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }

static void close_inherited(void) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0) return;
#endif
  for (int descriptor = 3; descriptor < 65536; descriptor++) close(descriptor);
}

static void write_to_report(void) {
  if (report_path[0] == 0) return;
  int file = open(report_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return;
  dup2(file, 1);
  dup2(file, 2);
  close(file);
}

/// Runs in the second copy: writes the backtrace, however long that takes.
static void dissect(int number, siginfo_t *info, void *context) {
  struct rlimit none = {0, 0}, some = {(rlim_t)limit_bytes, (rlim_t)limit_bytes};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_FSIZE, &some);
  sigset_t empty;
  sigemptyset(&empty);
  sigprocmask(SIG_SETMASK, &empty, NULL);
  struct sigaction *handler = &previous[number];
  if (handler->sa_flags & SA_SIGINFO && handler->sa_sigaction != NULL) {
    handler->sa_sigaction(number, info, context);
  } else {
    // No backtracer is installed. The report has modules and offsets, which can be symbolised
    // elsewhere.
    void *addresses[frames];
    backtrace_symbols_fd(addresses, backtrace(addresses, frames), 2);
  }
  _exit(0);
}

/// Runs in the first copy: waits for the second copy, and kills it and its backtracer at the limit.
static void watch(int number, siginfo_t *info, void *context) {
  setpgid(0, 0);
  close_inherited();
  write_to_report();
  say("crashed: signal ");
  say_number((unsigned long)number, 10);
  say(" (");
  // sigabbrev_np reads a table without translation. It is async-signal-safe since glibc 2.32.
  const char *name = sigabbrev_np(number);
  say(name != NULL ? name : "?");
  say("), address 0x");
  say_number((unsigned long)info->si_addr, 16);
  say(", at ");
  say_number((unsigned long)time(NULL), 10);
  say(" s since 1970\n");
  pid_t corpse = fork_only();
  if (corpse == 0) dissect(number, info, context);
  const struct timespec pause_time = {0, watch_interval_ms * 1000000L};
  long looks = corpse < 0 ? 0 : limit_seconds * 1000L / watch_interval_ms;
  int status = 0;
  while (looks > 0 && waitpid(corpse, &status, WNOHANG) == 0) {
    nanosleep(&pause_time, NULL);
    looks--;
  }
  if (looks == 0) say("\nthe backtrace was not done in time and is cut off\n");
  if (corpse > 0) kill(corpse, SIGKILL);
  // Kills the backtracer, and this process.
  kill(-getpid(), SIGKILL);
  _exit(0);
}

static void die(int number) {
  // A core file keeps the ports until it is written. It is written only if its size limit was set.
  struct rlimit core;
  if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct sigaction standard;
  memset(&standard, 0, sizeof standard);
  standard.sa_handler = SIG_DFL;
  sigaction(number, &standard, NULL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, number);
  sigprocmask(SIG_UNBLOCK, &only, NULL);
  syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), number);
  _exit(128 + number);
}

static void crashed(int number, siginfo_t *info, void *context) {
  // The first thread that crashes ends the process. Other threads that crash wait for that.
  if (__atomic_exchange_n(&entered, 1, __ATOMIC_SEQ_CST)) {
    for (;;) pause();
  }
  int error = errno;
  pid_t copy = fork_only();
  if (copy == 0) {
    errno = error;
    watch(number, info, context);
  }
  // If this is the first process of a container, its end also ends the copy.
  if (copy > 0 && getpid() == 1) waitpid(copy, NULL, 0);
  die(number);
}

void ccrash_install(const char *report, int seconds, long bytes) {
  report_path[0] = 0;
  if (report != NULL && strlen(report) < sizeof report_path) strcpy(report_path, report);
  limit_seconds = seconds;
  limit_bytes = bytes;
  // The first call loads the unwinder, which must not happen in the handler.
  void *address;
  backtrace(&address, 1);
  for (size_t index = 0; index < sizeof fatal_signals / sizeof *fatal_signals; index++) {
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = crashed;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    // A fault in the handler is then fatal at once.
    sigfillset(&action.sa_mask);
    if (sigaction(fatal_signals[index], NULL, &old) != 0) continue;
    if (old.sa_sigaction == crashed) continue;
    previous[fatal_signals[index]] = old;
    sigaction(fatal_signals[index], &action, NULL);
  }
}

#else
void ccrash_install(const char *report, int seconds, long bytes) {
  (void)report;
  (void)seconds;
  (void)bytes;
}
#endif
