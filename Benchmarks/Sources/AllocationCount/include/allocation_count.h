// Counts what the process allocates, so that a benchmark can report the cost of one step.
#pragma once

// Returns the number of calls of malloc, calloc, realloc and similar functions since the start, or
// 0 if they cannot be counted.
unsigned long tutti_allocations(void);
