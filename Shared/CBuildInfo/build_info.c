#include "CBuildInfo.h"

// The manifest defines it from the environment. Only this file and the executables depend on it, so
// another commit compiles one file and links.
#ifndef TUTTI_COMMIT
#define TUTTI_COMMIT ""
#endif

const char *cbuildinfo_commit(void) { return TUTTI_COMMIT; }
