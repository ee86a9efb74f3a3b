#pragma once
// libprotobuf-c: generated code only needs its header. A message returned by `…__unpack` belongs to
// the caller, who frees it with the matching `…__free_unpacked`; packing borrows every pointer.
#include <protobuf-c/protobuf-c.h>
