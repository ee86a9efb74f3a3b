// Wraps parts of libmongoc that Swift cannot import: string macros, and iterators that live on the
// stack with an alignment of 128 bytes.
#pragma once
#include <mongoc/mongoc.h>

static const char *const CMONGO_SERVER_SELECTION_TIMEOUT = MONGOC_URI_SERVERSELECTIONTIMEOUTMS;
static const char *const CMONGO_CONNECT_TIMEOUT = MONGOC_URI_CONNECTTIMEOUTMS;
static const char *const CMONGO_SOCKET_TIMEOUT = MONGOC_URI_SOCKETTIMEOUTMS;

/// The message of an error. Borrowed from it.
static inline const char *cmongo_message (const bson_error_t *error) {
  return error->message;
}

/// Whether no server could be reached, as opposed to a server that refused.
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

/// Whether every refused document was refused because its `_id` exists already.
static inline bool cmongo_only_duplicates (const bson_t *reply, const bson_error_t *error) {
  const int64_t duplicate_key = 11000;
  bson_iter_t found, each, code;
  // A failure of the connection has its own code, even if documents were refused before it.
  if (error->code != duplicate_key || !bson_iter_init_find (&found, reply, "writeErrors") ||
      !BSON_ITER_HOLDS_ARRAY (&found) || !bson_iter_recurse (&found, &each)) {
    return false;
  }
  while (bson_iter_next (&each)) {
    if (!BSON_ITER_HOLDS_DOCUMENT (&each) || !bson_iter_recurse (&each, &code) ||
        !bson_iter_find (&code, "code") || bson_iter_as_int64 (&code) != duplicate_key) {
      return false;
    }
  }
  return !bson_iter_init_find (&found, reply, "writeConcernErrors") ||
         !BSON_ITER_HOLDS_ARRAY (&found) || !bson_iter_recurse (&found, &each) ||
         !bson_iter_next (&each);
}

/// Inserts documents. Documents whose `_id` exists already stay unchanged.
static inline bool cmongo_insert_absent (mongoc_collection_t *collection, const bson_t **documents,
                                         size_t count, const bson_t *options, bson_error_t *error) {
  bson_t reply;
  bool done =
      mongoc_collection_insert_many (collection, documents, count, options, &reply, error);
  if (!done) {
    done = cmongo_only_duplicates (&reply, error);
  }
  bson_destroy (&reply);
  return done;
}
