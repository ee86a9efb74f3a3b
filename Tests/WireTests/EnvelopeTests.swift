import BusCore
import ClusterModel
import Limits
import Testing
import Wire

@Suite("Envelope")
struct EnvelopeTests {
  @Test("every kind of message is the same after a round trip", arguments: Samples.all.map(\.name))
  func roundTrip(name: String) throws {
    let envelope = try #require(Samples.all.first { $0.name == name }).envelope
    #expect(try Envelope(decoding: envelope.encoded()) == envelope)
  }

  @Test("an order says whether the client gets the answer in one piece", arguments: [true, false])
  func wholeAnswer(isWhole: Bool) throws {
    let sample = try #require(Samples.all.first { $0.name == "run_plan_small" })
    var envelope = sample.envelope
    guard case .runPlan(var order) = envelope.body else {
      Issue.record("\(sample.name) is another message")
      return
    }
    order.isWhole = isWhole
    envelope.body = .runPlan(order)
    #expect(try Envelope(decoding: envelope.encoded()) == envelope)
  }

  @Test("every shape is the same after a round trip", arguments: Envelope.Shape.allCases)
  func shapes(shape: Envelope.Shape) throws {
    var envelope = Samples.everything
    envelope.shape = shape
    #expect(try Envelope(decoding: envelope.encoded()).shape == shape)
  }

  @Test("a deadline of less than a millisecond is still a deadline")
  func shortDeadline() throws {
    var envelope = Samples.everything
    envelope.remaining = .microseconds(3)
    #expect(try Envelope(decoding: envelope.encoded()).remaining == .milliseconds(1))
    envelope.remaining = nil
    #expect(try Envelope(decoding: envelope.encoded()).remaining == nil)
  }

  @Test("text with NULs survives, text that is not UTF-8 is refused")
  func text() throws {
    var envelope = Samples.everything
    envelope.body = .failure(Failure(.overloaded, "\u{0}\u{0}x\u{0}"))
    let bytes = try envelope.encoded()
    #expect(try Envelope(decoding: bytes).body == envelope.body)

    let x = try #require(bytes.lastIndex(of: UInt8(ascii: "x")))
    var broken = bytes
    broken[x] = 0xC3
    #expect(throws: WireError.invalidText(field: "Failure.message")) {
      try Envelope(decoding: broken)
    }
  }

  @Test("no comparison differs from no agreement", arguments: [nil, 0, 1, 1_000])
  func weights(weight: Int?) throws {
    var envelope = Samples.everything
    envelope.body = .runTask(
      TaskOrder(
        plan: "p", task: PlanTask(id: "t", role: .code),
        conversation: Conversation(messagesJSON: []),
        inputs: [TaskOrder.NamedInput(name: "a", text: "b", weightMilli: weight)], isSink: true))
    #expect(try Envelope(decoding: envelope.encoded()).body == envelope.body)
  }

  @Test("a frame over the limit is refused before it is read")
  func size() throws {
    let limits = WireLimits(frameBytes: 100, elements: 10)
    #expect(throws: WireError.tooLarge(bytes: 101, limit: 100)) {
      try Envelope(decoding: [UInt8](repeating: 0, count: 101), limits: limits)
    }
    #expect(throws: WireError.tooLarge(bytes: 10 << 20, limit: 1 << 20)) {
      try Envelope(decoding: [UInt8](repeating: 0, count: 10 << 20))
    }
    #expect(throws: WireError.malformed("empty")) { try Envelope(decoding: []) }
  }

  @Test("elements are counted before anything is allocated for them")
  func elementCount() throws {
    func table(_ count: Int) throws -> [UInt8] {
      try Envelope(
        messageID: 1, shape: .publish, sender: PeerID(name: "r", incarnation: 1),
        body: .peerTable(PeerTable(epoch: 1, revision: 1, peers: []))
      ).encoded() + Fields.message(32, Array(repeating: [0x1A, 0x00], count: count).flatMap { $0 })
    }
    // The envelope already contains an empty table, so the field occurs twice.
    #expect(throws: WireError.malformed("a field twice")) { try Envelope(decoding: table(1)) }

    let many =
      Fields.header
      + Fields.message(32, Array(repeating: [0x1A, 0x00], count: 200_000).flatMap { $0 })
    #expect(throws: WireError.tooManyElements(limit: 1 << 16)) { try Envelope(decoding: many) }
    let documents =
      Fields.header
      + Fields.message(50, Array(repeating: [0x3A, 0x00], count: 200_000).flatMap { $0 })
    #expect(throws: WireError.tooManyElements(limit: 1 << 16)) {
      try Envelope(decoding: documents)
    }
    let few = Fields.header + Fields.message(32, [0x1A, 0x00])
    #expect(throws: WireError.missing(field: "Peer.name")) { try Envelope(decoding: few) }
  }

  @Test("a few unknown fields are a newer sender, many are garbage")
  func unknownFields() throws {
    let known = try Samples.everything.encoded()
    let unknown = Fields.varint(1_000 << 3 | 0) + Fields.varint(5)
    #expect(try Envelope(decoding: known + unknown) == Samples.everything)
    let many = known + Array(repeating: unknown, count: 1_000).flatMap { $0 }
    #expect(throws: WireError.tooManyElements(limit: 64)) { try Envelope(decoding: many) }
  }

  @Test("an unknown value is refused with the name of its field")
  func unknownValues() throws {
    let version = Fields.varint(1 << 3) + Fields.varint(2)
    #expect(throws: WireError.unsupportedVersion(2)) { try Envelope(decoding: version) }
    let shape =
      Fields.varint(1 << 3) + [1] + Fields.varint(4 << 3) + [99] + Fields.message(5, [65])
    #expect(throws: WireError.unknownValue(field: "Envelope.shape")) {
      try Envelope(decoding: shape)
    }
    #expect(throws: WireError.unknownValue(field: "Envelope.body")) {
      try Envelope(decoding: Fields.header)
    }
    func task(_ fields: [UInt8]) -> [UInt8] {
      let task = Fields.message(2, Array("code".utf8)) + Fields.message(5, Array("none".utf8))
      return Fields.header
        + Fields.message(
          43, Fields.message(1, task + Fields.message(6, Array("fail".utf8)) + fields))
    }
    #expect(throws: Never.self) { try Envelope(decoding: task([])) }
    for (field, name) in [(15, "PlanTask.profile"), (16, "PlanTask.data_policy")] as [(UInt64, _)] {
      #expect(throws: WireError.unknownValue(field: name)) {
        try Envelope(decoding: task(Fields.message(field, [65])))
      }
    }
    #expect(throws: WireError.unknownValue(field: "OutputContract.kind")) {
      try Envelope(decoding: task(Fields.message(13, Fields.message(1, [65]))))
    }
    let nobody = Fields.varint(1 << 3) + [1] + Fields.varint(4 << 3) + [1] + Fields.message(21, [])
    #expect(throws: WireError.missing(field: "Envelope.sender")) { try Envelope(decoding: nobody) }
  }

  @Test("a report with more inferences or attempts than a task may have is refused")
  func inferences() throws {
    func decoded(_ inferences: Int, attempts: Int) throws -> TaskReport? {
      let attempt = PaidAttempt(host: "h", model: "m", tokens: 1, outcome: .delivered)
      let inference = TaskInference(
        model: "m", usage: .zero, attempts: Array(repeating: attempt, count: attempts))
      var envelope = Samples.everything
      envelope.body = .taskEvent(
        .finished(
          TaskReport(
            host: "h", model: "m", usage: .zero, firstTokenMilliseconds: 0, totalMilliseconds: 0,
            finishReason: "stop", output: "",
            inferences: Array(repeating: inference, count: inferences))))
      guard case .taskEvent(.finished(let report)) = try Envelope(decoding: envelope.encoded()).body
      else { return nil }
      return report
    }
    let (most, attempts) = (Limits.taskInferences.value, Limits.inferenceAttempts.value)
    let report = try #require(try decoded(most, attempts: attempts))
    #expect(report.inferences.map(\.attempts.count) == Array(repeating: attempts, count: most))
    #expect(throws: WireError.tooManyElements(limit: most)) { try decoded(most + 1, attempts: 1) }
    #expect(throws: WireError.tooManyElements(limit: attempts)) {
      try decoded(1, attempts: attempts + 1)
    }
  }

  @Test("a sealed frame is the same after a round trip")
  func sealed() throws {
    let frame = Samples.sealed
    #expect(try SealedFrame(decoding: frame.encoded()) == frame)
    #expect(throws: WireError.self) { try SealedFrame(decoding: Samples.everything.encoded()) }
    #expect(throws: WireError.self) { try SealedFrame(decoding: []) }
  }

  @Test("the header of a sealed frame is read from its first bytes, never from fewer")
  func sealedHeader() {
    let bytes = Samples.sealed.encoded()
    let length = bytes.count - Samples.sealed.body.count
    for count in 0..<length {
      #expect(SealedFrame.beginning(of: Array(bytes[..<count])) == .incomplete, "\(count)")
    }
    for count in length...bytes.count {
      #expect(
        SealedFrame.beginning(of: Array(bytes[..<count]))
          == .header(Samples.sealed.header, proof: Samples.sealed.proof, length: length))
    }
    for (index, value) in [(0, 0), (1, 0), (2, 1), (3, 2), (52, 0), (52, 65), (53, 0xFF)] {
      var changed = bytes
      changed[index] = UInt8(value)
      #expect(SealedFrame.beginning(of: changed) == .garbage, "byte \(index)")
    }
  }

  @Test("a name longer than any process has is refused")
  func longSender() throws {
    var envelope = Samples.everything
    envelope.sender = PeerID(name: String(repeating: "n", count: 129), incarnation: 1)
    #expect(throws: WireError.self) { try Envelope(decoding: envelope.encoded()) }
  }

  @Test("a check without reading refuses what reading refuses")
  func check() throws {
    #expect(throws: Never.self) { try Envelope.check(Samples.everything.encoded()) }
    let many =
      Fields.header
      + Fields.message(32, Array(repeating: [0x1A, 0x00], count: 200_000).flatMap { $0 })
    #expect(throws: WireError.tooManyElements(limit: 1 << 16)) { try Envelope.check(many) }
    #expect(throws: WireError.malformed("empty")) { try Envelope.check([]) }
  }
}

/// Encodes elements of protobuf's wire format.
enum Fields {
  /// Version, shape and sender of an envelope without a body.
  static let header = varint(1 << 3) + [1] + varint(4 << 3) + [1] + message(5, [65])

  static func varint(_ value: UInt64) -> [UInt8] {
    var value = value
    var bytes: [UInt8] = []
    while value > 127 {
      bytes.append(UInt8(value & 127) | 128)
      value >>= 7
    }
    return bytes + [UInt8(value)]
  }

  static func message(_ number: UInt64, _ content: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(UInt64(content.count)) + content
  }
}
