// What Swift cannot import from libmongoc: string macros, and iterators that live on the stack with
// an alignment of 128 bytes.
#pragma once
#include <mongoc/mongoc.h>

static const char *const CMONGO_SERVER_SELECTION_TIMEOUT = MONGOC_URI_SERVERSELECTIONTIMEOUTMS;
static const char *const CMONGO_CONNECT_TIMEOUT = MONGOC_URI_CONNECTTIMEOUTMS;
static const char *const CMONGO_SOCKET_TIMEOUT = MONGOC_URI_SOCKETTIMEOUTMS;

/// The sentence in an error; borrowed from it.
static inline const char *cmongo_message (const bson_error_t *error) {
  return error->message;
}

/// Whether the error says that no server could be asked (as opposed to: it was asked and said no).
static inline bool cmongo_is_unreachable (const bson_error_t *error) {
  return error->domain == MONGOC_ERROR_SERVER_SELECTION || error->domain == MONGOC_ERROR_STREAM;
}

/// Text at a dotted path ("attributes.0.key"); NULL if there is none. Borrowed from the document.
static inline const char *cmongo_utf8 (const bson_t *document, const char *path, uint32_t *length) {
  bson_iter_t outer, found;
  if (!bson_iter_init (&outer, document) || !bson_iter_find_descendant (&outer, path, &found) ||
      !BSON_ITER_HOLDS_UTF8 (&found)) {
    return NULL;
  }
  return bson_iter_utf8 (&found, length);
}

/// A whole number of any width, or a boolean, at a dotted path; false if there is none.
static inline bool cmongo_int64 (const bson_t *document, const char *path, int64_t *value) {
  bson_iter_t outer, found;
  if (!bson_iter_init (&outer, document) || !bson_iter_find_descendant (&outer, path, &found)) {
    return false;
  }
  if (!BSON_ITER_HOLDS_INT (&found) && !BSON_ITER_HOLDS_DOUBLE (&found) &&
      !BSON_ITER_HOLDS_BOOL (&found)) {
    return false;
  }
  *value = bson_iter_as_int64 (&found);
  return true;
}
