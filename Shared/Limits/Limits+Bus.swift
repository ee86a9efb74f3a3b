extension Limits {
  static let bus: [Limit] = [
    busStrangerBytes, busStrangerWait, busUnknownPerAddress, busUnknownConnections,
    busConnectionsPerPeer, busPeers, busNewcomers, busAddressBytes, busFrameBytes, busElements,
    busMessageBytes, busReassemblyBytes, busReassemblyShare, busPartials, busPartialShare,
    busHeldMessages, busHeldBytes, busHeldShare, busHandlers, busHandlerReserve, busCasts,
    busCastShare, busOutgoing, busRememberedIDs, busRememberedSenders, busStreamBytes,
    busAllStreamBytes,
  ]

  // Limits on a `tcp://` connection that has not yet proved that it holds the cluster key.

  public static let busStrangerBytes = Limit(
    "bus.stranger_bytes", 1 << 10, .bytes,
    "The greeting, a length and the header of a sealed frame take at most 149 bytes.")
  public static let busStrangerWait = Limit(
    "bus.stranger_wait", 5_000, .milliseconds,
    "A process of the cluster proves itself within 20 ms of connecting. The rest is for slow "
      + "lines.")
  public static let busUnknownPerAddress = Limit(
    "bus.unknown_connections_per_address", 64, .count,
    "A machine starts about ten processes at once. The oldest connection is closed for the newest, "
      + "so that an honest newcomer gets in despite a flood from its own address.")
  public static let busUnknownConnections = Limit(
    "bus.unknown_connections", 256, .count,
    "Four addresses at bus.unknown_connections_per_address. At the limit the oldest connection of "
      + "the address with the most connections is closed.")
  public static let busConnectionsPerPeer = Limit(
    "bus.connections_per_peer", 8, .count,
    "A peer in the peer table needs one connection. A few old ones may remain open while a "
      + "network recovers.")

  // Limits on one member of the cluster.

  public static let busPeers = Limit(
    "bus.peers", 512, .count, "nanomsg allows 512 sockets in a process, one for each peer.")
  public static let busNewcomers = Limit(
    "bus.newcomers", 64, .count,
    "Peers that have sent a hello and are not in the peer table yet: twice as many as a whole "
      + "cluster that starts at once.")
  public static let busAddressBytes = Limit(
    "bus.address_bytes", 255, .bytes, "A host name has at most 253 bytes.")
  public static let busFrameBytes = Limit(
    "bus.frame_bytes", 1 << 20, .bytes,
    "nanomsg allocates a frame before it has arrived. Larger messages travel in fragments. A "
      + "publication is one frame.")
  public static let busElements = Limit(
    "bus.elements", 1 << 16, .count,
    "Elements of all repeated fields of a message. An empty element takes 2 bytes of the frame "
      + "and about 50 bytes of memory, so a hostile frame stays near 3 MiB.")
  public static let busMessageBytes = Limit(
    "bus.message_bytes", 24 << 20, .bytes,
    "The largest message is a plan to run: 10 MiB of documents, 4 MiB of messages, 4 MiB of plan, "
      + "and the outputs of the tasks that have ended.")
  public static let busReassemblyBytes = Limit(
    "bus.reassembly_bytes", 96 << 20, .bytes, "Four of the largest messages at once.")
  public static let busReassemblyShare = Limit(
    "bus.reassembly_share", 48 << 20, .bytes,
    "Half of bus.reassembly_bytes, so that one sender leaves room for others.")
  public static let busPartials = Limit(
    "bus.partial_messages", 256, .count,
    "Messages of which fragments are missing. Each may announce 100 fragments that never arrive.")
  public static let busPartialShare = Limit(
    "bus.partial_message_share", 64, .count,
    "A quarter of bus.partial_messages, so that one sender leaves room for others.")
  public static let busHeldMessages = Limit(
    "bus.held_messages", 256, .count,
    "Messages of peers that the peer table does not list yet. They wait for the table, 2 s at "
      + "most.")
  public static let busHeldBytes = Limit(
    "bus.held_bytes", 24 << 20, .bytes, "Room for one of the largest messages.")
  public static let busHeldShare = Limit(
    "bus.held_share", 64, .count,
    "A quarter of bus.held_messages, so that one unlisted sender leaves room for others.")
  public static let busHandlers = Limit(
    "bus.handlers", 1_024, .count,
    "Requests that one process handles at once. Each may hold a whole prompt.")
  public static let busHandlerReserve = Limit(
    "bus.handler_reserve", 32, .count,
    "The last handlers are for senders that hold less than half of all handlers.")
  public static let busCasts = Limit(
    "bus.casts", 1_024, .count, "Casts whose handler runs. Further casts are dropped and counted.")
  public static let busCastShare = Limit(
    "bus.cast_share", 256, .count,
    "A quarter of bus.casts, so that one sender leaves room for others.")
  public static let busOutgoing = Limit(
    "bus.outgoing", 4_096, .count,
    "Requests of one process that wait for an answer: twice what a busy gateway admits.")
  public static let busRememberedIDs = Limit(
    "bus.remembered_ids", 4_096, .count,
    "Message ids of one sender that are remembered, so that a duplicate does not run twice. A "
      + "busy gateway sends this many messages in seconds.")
  public static let busRememberedSenders = Limit(
    "bus.remembered_senders", 1_024, .count,
    "Twice bus.peers, because a peer that counts as lost may come back.")
  public static let busStreamBytes = Limit(
    "bus.stream_bytes", 1 << 20, .bytes,
    "Unread bytes of one stream. A stream with a slower reader is ended, because a model that "
      + "pauses for the reader would hold its slot.")
  public static let busAllStreamBytes = Limit(
    "bus.all_stream_bytes", 64 << 20, .bytes, "64 streams at bus.stream_bytes.")
}
