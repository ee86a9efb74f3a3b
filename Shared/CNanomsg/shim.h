#pragma once
// libnanomsg. Swift cannot import expression macros and errno, so they are wrapped here. The code
// that opens a socket (`int`) owns it, and closes it with `cnn_close`. The caller of `cnn_receive`
// owns the message, and frees it with `nn_freemsg`.
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/ipc.h>
#include <nanomsg/tcp.h>

static const int CNN_PULL = NN_PULL;
static const int CNN_PUSH = NN_PUSH;

/// Returns a new socket of the given kind, or -errno.
static inline int cnn_socket(int protocol) {
  int socket = nn_socket(AF_SP, protocol);
  return socket < 0 ? -nn_errno() : socket;
}

/// Returns 0 or -errno. Repeats an interrupted nn_close, which must be called again.
static inline int cnn_close(int socket) {
  int result;
  do {
    result = nn_close(socket);
  } while (result < 0 && nn_errno() == EINTR);
  return result < 0 ? -nn_errno() : 0;
}

/// Returns an endpoint or -errno.
static inline int cnn_bind(int socket, const char *address) {
  int endpoint = nn_bind(socket, address);
  return endpoint < 0 ? -nn_errno() : endpoint;
}

/// Returns an endpoint or -errno.
static inline int cnn_connect(int socket, const char *address) {
  int endpoint = nn_connect(socket, address);
  return endpoint < 0 ? -nn_errno() : endpoint;
}

/// Returns the length of the message at `*message`, or -errno. Never blocks.
static inline int cnn_receive(int socket, void **message) {
  int length = nn_recv(socket, message, NN_MSG, NN_DONTWAIT);
  return length < 0 ? -nn_errno() : length;
}

/// Returns the number of accepted bytes, or -errno. Copies the bytes, and never blocks.
static inline int cnn_send(int socket, const void *bytes, size_t count) {
  int sent = nn_send(socket, bytes, count, NN_DONTWAIT);
  return sent < 0 ? -nn_errno() : sent;
}

static inline int cnn_set(int socket, int level, int option, int value) {
  return nn_setsockopt(socket, level, option, &value, sizeof value) < 0 ? -nn_errno() : 0;
}

/// Sets the size of the largest message. A larger one closes its connection. Returns 0 or -errno.
static inline int cnn_set_receive_limit(int socket, int bytes) {
  return cnn_set(socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, bytes);
}

/// Sets the first and the longest pause before a new connection, in milliseconds. Returns 0 or
/// -errno.
static inline int cnn_set_reconnect(int socket, int milliseconds, int most) {
  int result = cnn_set(socket, NN_SOL_SOCKET, NN_RECONNECT_IVL, milliseconds);
  return result < 0 ? result : cnn_set(socket, NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX, most);
}

static inline int cnn_set_buffers(int socket, int send, int receive) {
  int result = cnn_set(socket, NN_SOL_SOCKET, NN_SNDBUF, send);
  return result < 0 ? result : cnn_set(socket, NN_SOL_SOCKET, NN_RCVBUF, receive);
}

/// Makes small frames leave at once. Returns 0 or -errno.
static inline int cnn_set_no_delay(int socket) {
  return cnn_set(socket, NN_TCP, NN_TCP_NODELAY, 1);
}

static inline int cnn_descriptor(int socket, int option) {
  int descriptor = -1;
  size_t size = sizeof descriptor;
  return nn_getsockopt(socket, NN_SOL_SOCKET, option, &descriptor, &size) < 0 ? -nn_errno()
                                                                              : descriptor;
}

/// Returns nanomsg's own descriptor, readable while a message waits. It may only be polled.
static inline int cnn_receive_descriptor(int socket) { return cnn_descriptor(socket, NN_RCVFD); }

/// Returns nanomsg's own descriptor, readable while a message can be sent. It may only be polled.
static inline int cnn_send_descriptor(int socket) { return cnn_descriptor(socket, NN_SNDFD); }

static inline unsigned long long cnn_connections(int socket) {
  return nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS);
}

static inline unsigned long long cnn_established(int socket) {
  return nn_get_statistic(socket, NN_STAT_ESTABLISHED_CONNECTIONS);
}

static inline unsigned long long cnn_broken(int socket) {
  return nn_get_statistic(socket, NN_STAT_BROKEN_CONNECTIONS);
}

static inline unsigned long long cnn_connect_errors(int socket) {
  return nn_get_statistic(socket, NN_STAT_CONNECT_ERRORS);
}

static inline const char *cnn_message(int error) { return nn_strerror(error); }
