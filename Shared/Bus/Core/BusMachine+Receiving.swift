public import ClusterModel
import Limits

extension BusMachine {
  /// Handles a message that has arrived.
  /// - Parameters:
  ///   - bytes: size of the message on the wire, for the limits of buffers.
  ///   - seal: the process that sealed the message. `nil` means that the transport does not seal.
  public mutating func received(
    _ envelope: Envelope, bytes: Int, from seal: SealedSender? = nil, now: Instant
  ) -> [BusDirective] {
    if let meant = envelope.toIncarnation, meant != own.id.incarnation {
      return [.dropped(reason: "wrong_incarnation")]
    }
    if let seal {
      guard seal.id == envelope.sender else { return [.dropped(reason: "wrong_sender")] }
      if seal.isIntroduction { return receivedIntroduction(envelope, seal) }
    }
    if let listed = directory[envelope.sender], listed.key != seal?.key ?? [] {
      return [.dropped(reason: "wrong_key")]
    }
    directory.recordReceived(from: envelope.sender)
    heartbeats[envelope.sender]?.lastReceived = now
    heartbeats[envelope.sender]?.pinged = nil
    heartbeats[envelope.sender]?.firstPing = nil

    if case .fragment(let fragment) = envelope.body {
      guard directory[envelope.sender] != nil else {
        return hold(envelope, bytes: bytes, from: seal, now: now)
      }
      return receivedFragment(fragment, envelope, from: seal, now: now)
    }
    switch envelope.shape {
    case .call, .open: return receivedRequest(envelope, bytes: bytes, from: seal, now: now)
    case .reply: return receivedReply(envelope, from: seal, now: now)
    case .item: return receivedItem(envelope, bytes: bytes, from: seal)
    case .end: return receivedEnd(envelope, from: seal)
    case .cancel:
      let key = RequestKey(sender: envelope.sender, messageID: envelope.correlationID)
      guard incoming.removeValue(forKey: key) != nil else {
        // A cancel travels in the control lane and may overtake its request. The request is then
        // refused as a duplicate when it arrives.
        if directory[key.sender] != nil { _ = remember(key) }
        return []
      }
      end(with: key.sender)
      return [.cancelHandler(key, Failure(.cancelled, "the caller cancelled"))]
    case .cast:
      guard directory[envelope.sender] != nil else {
        return hold(envelope, bytes: bytes, from: seal, now: now)
      }
      guard remember(RequestKey(sender: envelope.sender, messageID: envelope.messageID)) else {
        return [.dropped(reason: "duplicate")]
      }
      return [.deliverCast(envelope.body, from: envelope.sender)]
    case .publish:
      guard isFromRegistry(envelope, seal) else { return [.dropped(reason: "not_registry")] }
      if case .peerTable(let table) = envelope.body {
        return received(table, from: envelope.sender, now: now)
      }
      return [.deliverPublication(envelope.body)]
    case .ping:
      guard let peer = directory[envelope.sender] else { return [] }
      let pong = Envelope(
        messageID: reserveID(), correlationID: envelope.messageID, shape: .pong, sender: own.id,
        toIncarnation: peer.id.incarnation, body: .ack)
      return [.send(pong, to: peer.mailbox, .control)]
    case .pong:
      guard let request = expected(envelope, seal), request.kind == .call else { return [] }
      outgoing[envelope.correlationID] = nil
      end(with: request.peer)
      return [.resolve(envelope.correlationID, .success(.ack))]
    }
  }

  /// Answers the first hello of a process that does not know the registry's key. The hello may be a
  /// replay, so it adds no peer. The next hello is bound to the key and incarnation in the answer.
  private mutating func receivedIntroduction(
    _ envelope: Envelope, _ seal: SealedSender
  ) -> [BusDirective] {
    guard isRegistry, envelope.shape == .call, case .hello(let peer) = envelope.body,
      peer.id == seal.id, peer.key == seal.key
    else { return [.dropped(reason: "introduction_only")] }
    if let listed = directory[peer.id], listed.key != peer.key {
      return [.dropped(reason: "wrong_key")]
    }
    guard isFree(peer.mailbox, for: peer) else { return [.dropped(reason: "bad_address")] }
    let key = RequestKey(sender: peer.id, messageID: envelope.messageID)
    return recordIntroduction(of: peer.mailbox) + [
      .seal(mailbox: peer.mailbox, for: Recipient(peer)),
      .send(answer(key, .reply, .ack), to: peer.mailbox, .control),
    ]
  }

  /// Records an introduction, and removes the oldest one if there are too many.
  private mutating func recordIntroduction(of mailbox: String) -> [BusDirective] {
    introductions.removeAll { $0 == mailbox }
    introductions.append(mailbox)
    guard introductions.count > limits.newcomers else { return [] }
    let oldest = introductions.removeFirst()
    return directory.peer(at: oldest) == nil ? [.disconnect(oldest)] : []
  }

  /// Whether frames to the address may be sealed for the peer. The address must be valid, and no
  /// other process may receive there.
  private func isFree(_ mailbox: String, for peer: Peer) -> Bool {
    guard MailboxAddress(mailbox, matching: own.mailbox) != nil, mailbox != registryMailbox else {
      return false
    }
    return directory.peer(at: mailbox).map { Recipient($0) == Recipient(peer) } ?? true
  }

  private mutating func receivedFragment(
    _ fragment: Body.Fragment, _ envelope: Envelope, from seal: SealedSender?, now: Instant
  ) -> [BusDirective] {
    let message = Reassembly.Key(envelope)
    switch reassembly.add(fragment, of: message, now: now) {
    case .waiting: return []
    case .refused(let reason): return [.dropped(reason: reason)]
    case .complete(let packed):
      return [.decode(ReassembledMessage(bytes: packed, key: message, seal: seal))]
    }
  }

  /// Handles a message that was reassembled from fragments and decoded.
  /// - Parameter envelope: `nil` means that the bytes are not an envelope.
  public mutating func received(
    _ message: ReassembledMessage, decodedAs envelope: Envelope?, now: Instant
  ) -> [BusDirective] {
    guard let envelope, message.key.isMessage(of: envelope) else {
      return [.dropped(reason: "bad_fragment")]
    }
    if case .fragment = envelope.body { return [.dropped(reason: "bad_fragment")] }
    return received(envelope, bytes: message.bytes.count, from: message.seal, now: now)
  }

  /// - Returns: `false` if the message was already seen.
  private mutating func remember(_ key: RequestKey) -> Bool {
    // Entries of peers that left the table are removed only if there are too many senders. Such a
    // peer may only have been silent, and its earlier messages may still arrive twice.
    if seen[key.sender] == nil, seen.count >= limits.rememberedSenders {
      for sender in seen.keys where directory[sender] == nil { seen[sender] = nil }
    }
    return seen[key.sender, default: RecentIDs()]
      .insert(key.messageID, limit: limits.rememberedIDs)
  }

  /// Holds a message of an unlisted peer, because an answer could not be addressed. Either the
  /// table that lists the peer is on its way, or a hello to the registry requests it now.
  private mutating func hold(
    _ envelope: Envelope, bytes: Int, from seal: SealedSender?, now: Instant
  ) -> [BusDirective] {
    guard held.count < limits.heldMessages,
      held.count(where: { $0.envelope.sender == envelope.sender }) < Limits.busHeldShare.value,
      held.reduce(bytes, { $0 + $1.bytes }) <= limits.heldBytes
    else { return [.dropped(reason: "unknown_peer")] }
    held.append(Held(envelope: envelope, bytes: bytes, seal: seal, since: now))
    if !isRegistry { nextHello = min(nextHello, now) }
    return []
  }

  private mutating func receivedRequest(
    _ envelope: Envelope, bytes: Int, from seal: SealedSender?, now: Instant
  ) -> [BusDirective] {
    var directives: [BusDirective] = []
    if isRegistry, case .hello(let peer) = envelope.body {
      guard peer.id == envelope.sender, peer.key == seal?.key ?? [] else {
        return [.dropped(reason: "wrong_sender")]
      }
      guard isFree(peer.mailbox, for: peer),
        directory[peer.id].map({ $0.mailbox == peer.mailbox }) ?? true
      else { return [.dropped(reason: "bad_address")] }
      directives += introduce(peer, now: now)
    }
    guard let peer = directory[envelope.sender] else {
      return directives + hold(envelope, bytes: bytes, from: seal, now: now)
    }
    let key = RequestKey(sender: envelope.sender, messageID: envelope.messageID)
    guard remember(key) else { return directives + [.dropped(reason: "duplicate")] }
    let isStream = envelope.shape == .open
    let refusal: Failure? =
      if isDraining {
        Failure(.shuttingDown, "\(own.id.name) is shutting down", retryAfter: .seconds(1))
      } else if incoming.count >= limits.handlers || holdsTooMuch(peer.id) {
        Failure(
          .overloaded, "\(own.id.name) works on \(limits.handlers) requests already",
          retryAfter: .seconds(1))
      } else {
        nil
      }
    if let refusal {
      let shape: Envelope.Shape = isStream ? .end : .reply
      return directives + [
        .send(answer(key, shape, .failure(refusal)), to: peer.mailbox, .control)
      ]
    }
    incoming[key] = Incoming(
      isStream: isStream, mailbox: peer.mailbox, deadline: envelope.remaining.map { now + $0 })
    if case .goodbye = envelope.body { incoming[key]?.isFarewell = true }
    begin(with: peer.id, now: now)
    // Connect before there is an answer to send, so that the caller's death is noticed.
    directives.append(.connect(peer.mailbox))
    let request = BusRequest(
      body: envelope.body, sender: envelope.sender, trace: envelope.trace,
      remaining: envelope.remaining, idempotencyKey: envelope.idempotencyKey)
    directives.append(isStream ? .startStream(key, request) : .startCall(key, request))
    return directives
  }

  /// Adds a peer that sent its hello to this process, the registry.
  private mutating func introduce(_ peer: Peer, now: Instant) -> [BusDirective] {
    guard directory[peer.id] == nil else { return [] }
    let forgotten = directory.introduce(
      peer, until: now + min(peer.ttl, own.ttl), limit: limits.newcomers)
    var directives: [BusDirective] = []
    if let forgotten {
      directives += lose(forgotten.id, why: "it never joined the cluster", now: now)
      directives.append(.disconnect(forgotten.mailbox))
    }
    if !peer.key.isEmpty {
      directives.append(.seal(mailbox: peer.mailbox, for: Recipient(peer)))
    }
    return directives
  }

  /// Whether only reserved handlers are free and the peer already holds half of all handlers.
  private func holdsTooMuch(_ peer: PeerID) -> Bool {
    let reserve = min(Limits.busHandlerReserve.value, limits.handlers / 8)
    guard incoming.count >= limits.handlers - reserve else { return false }
    return incoming.keys.count { $0.sender == peer } >= limits.handlers / 2
  }

  private mutating func receivedReply(
    _ envelope: Envelope, from seal: SealedSender?, now: Instant
  ) -> [BusDirective] {
    guard let request = expected(envelope, seal) else { return [] }
    switch request.kind {
    case .stream: return []
    case .hello: return receivedWelcome(envelope, from: seal, now: now)
    case .call:
      outgoing[envelope.correlationID] = nil
      end(with: request.peer)
      if case .failure(let failure) = envelope.body {
        note(failure, from: envelope.sender)
        return [.resolve(envelope.correlationID, .failure(failure))]
      }
      return [.resolve(envelope.correlationID, .success(envelope.body))]
    }
  }

  /// Handles the registry's answer to a hello of this process.
  private mutating func receivedWelcome(
    _ envelope: Envelope, from seal: SealedSender?, now: Instant
  ) -> [BusDirective] {
    outgoing[envelope.correlationID] = nil
    let isNew = registry != envelope.sender
    var directives: [BusDirective] = []
    if let seal, isNew {
      // If no setting pins the registry's key, this process pins it for its lifetime.
      registryKey = seal.key
      directives.append(
        .seal(mailbox: registryMailbox, for: Recipient(id: seal.id, key: seal.key)))
    }
    switch envelope.body {
    case .ack where isNew:
      registry = envelope.sender
      nextHello = now
      return directives + hello(now: now)
    case .peerTable(let table):
      registry = envelope.sender
      if table.epoch != directory.table.epoch { helloInterval = Self.firstHelloInterval }
      nextHello = now + helloInterval
      helloInterval = min(helloInterval * 2, own.ttl / 3)
      return directives + received(table, from: envelope.sender, now: now)
    default:
      nextHello = now + Self.helloRetry
      return directives
    }
  }

  private mutating func receivedItem(
    _ envelope: Envelope, bytes: Int, from seal: SealedSender?
  ) -> [BusDirective] {
    let id = envelope.correlationID
    guard let request = expected(envelope, seal), request.kind == .stream else { return [] }
    if envelope.sequence < request.expected { return [.dropped(reason: "duplicate")] }
    if envelope.sequence > request.expected {
      let lost = envelope.sequence - request.expected
      return [
        .ended(id, Failure(.streamGap, "\(lost) items of the stream were lost on the way"))
      ] + abandon(id)
    }
    outgoing[id]?.expected &+= 1
    return [.item(id, envelope.body, bytes: bytes)]
  }

  private mutating func receivedEnd(
    _ envelope: Envelope, from seal: SealedSender?
  ) -> [BusDirective] {
    let id = envelope.correlationID
    guard let request = expected(envelope, seal), request.kind == .stream else { return [] }
    outgoing[id] = nil
    end(with: request.peer)
    if case .failure(let failure) = envelope.body {
      note(failure, from: envelope.sender)
      return [.ended(id, failure)]
    }
    if envelope.sequence != request.expected {
      return [.ended(id, Failure(.streamGap, "the stream's last items were lost on the way"))]
    }
    return [.ended(id, nil)]
  }

  /// Sends no more requests to a peer that reports that it is shutting down.
  private mutating func note(_ failure: Failure, from peer: PeerID) {
    if failure.code == .shuttingDown { directory.leaves(peer) }
  }

  /// The request that an answer belongs to, if the answer comes from the peer that the request was
  /// sent to. For a hello or goodbye that peer is the registry.
  private func expected(_ envelope: Envelope, _ seal: SealedSender?) -> Outgoing? {
    guard let request = outgoing[envelope.correlationID] else { return nil }
    if let peer = request.peer { return peer == envelope.sender ? request : nil }
    return hasRegistryKey(seal) ? request : nil
  }

  /// Whether a frame may come from the registry. If this process knows the registry's key, a sealed
  /// frame must be sealed with that key.
  private func hasRegistryKey(_ seal: SealedSender?) -> Bool {
    guard let seal else { return true }
    return registryKey == nil || registryKey == seal.key
  }

  /// Whether a publication comes from the registry that answered the last hello. Over `ipc://` file
  /// permissions exclude other users, so a publication is also accepted while no registry is known.
  private func isFromRegistry(_ envelope: Envelope, _ seal: SealedSender?) -> Bool {
    guard !isRegistry else { return false }
    if seal == nil, registry == nil { return true }
    return registry == envelope.sender && hasRegistryKey(seal)
  }

  // MARK: - Peers

  /// Handles a table of peers from the registry.
  private mutating func received(
    _ table: PeerTable, from sender: PeerID, now: Instant
  ) -> [BusDirective] {
    guard table.epoch == sender.incarnation, table.peers.count <= limits.peers else {
      return [.dropped(reason: "bad_table")]
    }
    var usable = table
    usable.peers.removeAll {
      MailboxAddress($0.mailbox, matching: own.mailbox) == nil || $0.key.count != own.key.count
    }
    let refused = table.peers.count - usable.peers.count
    return Array(repeating: .dropped(reason: "bad_address"), count: refused)
      + apply(usable, isCurrent: registry == sender, now: now)
  }

  /// Applies a peer table of the registry. The registry itself applies the table that it computed.
  /// - Parameter isCurrent: whether the table comes from the registry that answered the last hello.
  public mutating func apply(
    _ table: PeerTable, isCurrent: Bool = false, now: Instant
  ) -> [BusDirective] {
    let known = Set(directory.all.map(Recipient.init))
    guard let gone = directory.apply(table, isCurrent: isCurrent, now: now) else { return [] }
    directory.introduce(own, until: nil)
    var directives: [BusDirective] = []
    for peer in gone where peer.id != own.id {
      directives += lose(peer.id, why: "it left the cluster", now: now)
      // A restarted registry keeps its address, so its mailbox stays connected.
      if directory.peer(at: peer.mailbox) == nil { directives.append(.disconnect(peer.mailbox)) }
    }
    for peer in table.peers
    where peer.id != own.id && !peer.key.isEmpty && !known.contains(Recipient(peer)) {
      directives.append(.seal(mailbox: peer.mailbox, for: Recipient(peer)))
    }
    directives.append(.peersChanged)
    let waiting = held
    held = []
    for mail in waiting {
      if directory[mail.envelope.sender] == nil {
        held.append(mail)
      } else {
        directives += received(mail.envelope, bytes: mail.bytes, from: mail.seal, now: now)
      }
    }
    return directives
  }

  /// Handles the loss of the connection to a mailbox.
  public mutating func connectionLost(to mailbox: String, now: Instant) -> [BusDirective] {
    var directives: [BusDirective] = []
    if mailbox == registryMailbox {
      nextHello = min(nextHello, now + Self.helloRetry)
      directives += forgetRegistry()
    }
    guard let peer = directory.peer(at: mailbox), peer.id != own.id else { return directives }
    return directives + lose(peer.id, why: "its connection broke", now: now)
  }

  /// Makes the next hello go to any incarnation of the registry.
  mutating func forgetRegistry() -> [BusDirective] {
    guard registry != nil else { return [] }
    registry = nil
    return own.key.isEmpty ? [] : [.seal(mailbox: registryMailbox, for: nil)]
  }

  /// Ends all work in flight with a peer, except the answer to its goodbye.
  mutating func lose(_ peer: PeerID, why: String, now: Instant) -> [BusDirective] {
    directory.foundDead(peer, now: now)
    var directives: [BusDirective] = []
    let failure = Failure(.peerLost, "\(peer.name) was lost: \(why)")
    for (id, request) in outgoing.sorted(by: { $0.key < $1.key }) where request.peer == peer {
      outgoing[id] = nil
      switch request.kind {
      case .call: directives.append(.resolve(id, .failure(failure)))
      case .stream: directives.append(.ended(id, failure))
      case .hello: break
      }
    }
    let unwanted = incoming.filter { $0.key.sender == peer && !$0.value.isFarewell }.keys
    for key in unwanted.sorted(by: { $0.messageID < $1.messageID }) {
      incoming[key] = nil
      directives.append(.cancelHandler(key, failure))
    }
    inFlight[peer] = nil
    heartbeats[peer] = nil
    answered.remove(peer)
    _ = reassembly.expire(now: now, lost: peer)
    directives.append(.peerLost(peer))
    directives.append(.peersChanged)
    return directives
  }
}
