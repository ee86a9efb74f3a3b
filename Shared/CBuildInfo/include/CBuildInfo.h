#pragma once

/// Returns the commit that this build was made from, or an empty string if it is unknown.
const char *cbuildinfo_commit(void);
