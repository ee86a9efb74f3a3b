#pragma once

/// Ends a process that crashed at once, and has its backtrace written by a copy of it.
///
/// A process that waits for its own backtrace keeps its ports, locks and connections for seconds,
/// or without end if the backtracer hangs. With this handler the process forks and dies of its
/// signal. The copy closes every descriptor except the standard ones, runs the handler that was
/// installed before (Swift's, which starts `swift-backtrace`), and is killed at the time limit.
///
/// On systems other than Linux this does nothing.
///
/// - Parameters:
///   - report: Path of the file that gets the backtrace, replaced if it is there. `NULL` means
///     standard error.
///   - seconds: Time limit for the backtrace.
///   - bytes: Size limit of the file.
void ccrash_install(const char *report, int seconds, long bytes);
