#pragma once
// zlib and zstd, for decoding only. Swift cannot import macros and sizes, so they are wrapped here.
// The caller of `..._open` owns the stream, and closes it with `..._close`.
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/// How a decoding step ended.
typedef enum {
  CC_MORE = 0,    // Go on, with more input or more room.
  CC_END = 1,     // The compressed data is complete; input may be left.
  CC_BROKEN = 2   // The input is no such data.
} cc_result;

/// - window_bits: as zlib's inflateInit2. NULL if there is no memory.
static inline z_stream *ccz_open(int window_bits) {
  z_stream *stream = calloc(1, sizeof(z_stream));
  if (stream && inflateInit2(stream, window_bits) != Z_OK) {
    free(stream);
    return NULL;
  }
  return stream;
}

static inline void ccz_close(z_stream *stream) {
  inflateEnd(stream);
  free(stream);
}

/// Begins another member of the same data.
static inline void ccz_reset(z_stream *stream) { inflateReset(stream); }

/// Decodes from `input` into `output`. The counts are in: what there is, out: what was used.
static inline int ccz_step(
    z_stream *stream, const unsigned char *input, size_t *read, unsigned char *output,
    size_t *written) {
  stream->next_in = (unsigned char *)input;
  stream->avail_in = (unsigned)*read;
  stream->next_out = output;
  stream->avail_out = (unsigned)*written;
  int result = inflate(stream, Z_SYNC_FLUSH);
  *read -= stream->avail_in;
  *written -= stream->avail_out;
  if (result == Z_STREAM_END) return CC_END;
  return result == Z_OK || result == Z_BUF_ERROR ? CC_MORE : CC_BROKEN;
}

/// - window_log: the largest window, as a power of two. NULL if there is no memory.
static inline ZSTD_DCtx *ccs_open(int window_log) {
  ZSTD_DCtx *context = ZSTD_createDCtx();
  if (context) ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, window_log);
  return context;
}

static inline void ccs_close(ZSTD_DCtx *context) { ZSTD_freeDCtx(context); }

/// As `ccz_step`. Another frame may follow the end of one.
static inline int ccs_step(
    ZSTD_DCtx *context, const unsigned char *input, size_t *read, unsigned char *output,
    size_t *written) {
  ZSTD_inBuffer in = {input, *read, 0};
  ZSTD_outBuffer out = {output, *written, 0};
  size_t result = ZSTD_decompressStream(context, &out, &in);
  *read = in.pos;
  *written = out.pos;
  if (ZSTD_isError(result)) return CC_BROKEN;
  return result == 0 ? CC_END : CC_MORE;
}
