// Counts what the process allocates, so that a benchmark can say how much one step costs.
#pragma once

// Calls of malloc, calloc, realloc and their like since the start; 0 where they cannot be counted.
unsigned long tutti_allocations(void);
