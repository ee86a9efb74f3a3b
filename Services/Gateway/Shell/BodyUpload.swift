import ClusterModel
import ContentCoding
import GatewayCore
import HTTPTypes
import Hummingbird
import InferenceCore
import Limits
import NIOCore
import Overload
import ServiceKit

/// Reads the body of one request, decompresses it, and charges its bytes as they arrive.
struct BodyUpload: Sendable {
  let request: Request
  let reservation: RequestReservation

  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  /// Returns the body, decompressed and without a UTF-8 byte order mark.
  /// - Parameter client: the client's tag.
  func receive(for client: String, on heavyWork: HeavyWork) async throws -> [UInt8] {
    let coding = try coding()
    let body = try await decode(try await receive(coding), coding, for: client, on: heavyWork)
    reservation.setBody(body.count)
    return body
  }

  /// Returns the body as it was sent. Its buffer grows with the bytes that arrive, so that a slow
  /// upload holds little memory.
  private func receive(_ coding: ContentCoding) async throws -> [UInt8] {
    let declared = max(request.headers[.contentLength].flatMap { Int($0) } ?? 0, 0)
    try await reserve(room(declared: declared, coding))
    var body: [UInt8] = []
    var charged = 0
    for try await part in request.body {
      let count = body.count + part.readableBytes
      guard count <= RequestLimits.bodyBytes else {
        throw Failure(.requestTooLarge, "the body is larger than \(RequestLimits.bodyBytes) bytes")
      }
      if count > Limits.smallBody.value, !reservation.hasBodyRoom {
        // The length is unknown, so wait for a pass for the largest body.
        try await reserve(RequestLimits.bodyBytes)
      }
      if body.capacity < count {
        body.reserveCapacity(declared > count ? min(declared, 2 * count) : 2 * count)
        try reservation.chargeBody(body.capacity - charged)
        charged = body.capacity
      }
      body.append(contentsOf: part.readableBytesView)
    }
    return body
  }

  /// Waits for room for the body, and then lets it be read. A small body needs neither.
  private func reserve(_ bytes: Int) async throws {
    try await reservation.reserveBody(bytes)
    if reservation.hasBodyRoom { ClientConnection.current?.readBody() }
  }

  /// Maximum bytes of the body in memory. For a compressed body, it is the maximum after decoding,
  /// because room is reserved only once. Requests that have room and wait for more could block each
  /// other.
  /// - Parameter declared: the length that the client announced. 0 if it announced none.
  private func room(declared: Int, _ coding: ContentCoding) -> Int {
    guard coding != .identity else { return min(declared, RequestLimits.bodyBytes) }
    guard declared > 0 else { return RequestLimits.bodyBytes }
    let decoded = declared.multipliedCapped(by: Limits.decodedPerByte.value)
      .addingCapped(Limits.decodedFreely.value)
    return min(decoded, RequestLimits.bodyBytes)
  }

  private func coding() throws(Failure) -> ContentCoding {
    do throws(UnknownCoding) {
      return try ContentCoding(header: request.headers[values: .contentEncoding])
    } catch {
      throw Failure(
        .unsupportedEncoding,
        "the body's Content-Encoding \"\(error.name)\" is not supported; send the body "
          + "without one, or encoded as one of \(ContentCoding.known)")
    }
  }

  private func decode(
    _ body: [UInt8], _ coding: ContentCoding, for client: String, on heavyWork: HeavyWork
  ) async throws -> [UInt8] {
    guard coding != .identity else { return Self.withoutMark(body) }
    // The decoded size is not known yet and determines the cost, so this counts as heavy work.
    return try await heavyWork.run(for: ClientFingerprint(tag: client).value) { [reservation] in
      Result { () throws(Failure) in
        Self.withoutMark(try Self.decompress(body, coding, charging: reservation))
      }
    }.get()
  }

  private static func withoutMark(_ text: [UInt8]) -> [UInt8] {
    text.starts(with: byteOrderMark) ? Array(text.dropFirst(byteOrderMark.count)) : text
  }

  private static func decompress(
    _ body: [UInt8], _ coding: ContentCoding, charging reservation: RequestReservation
  ) throws(Failure) -> [UInt8] {
    let decoder = BodyDecoder(coding)
    decoder.push(body)
    decoder.finish()
    var text: [UInt8] = []
    while true {
      let piece: [UInt8]
      do throws(BrokenCoding) {
        piece = try decoder.pull(Limits.heavyBytes.value)
      } catch {
        throw Failure(
          error.cause == .bomb ? .requestTooLarge : .invalidRequest, "the body \(error)")
      }
      guard !piece.isEmpty else { return text }
      guard text.count + piece.count <= RequestLimits.bodyBytes else {
        throw Failure(
          .requestTooLarge, "the decoded body is larger than \(RequestLimits.bodyBytes) bytes")
      }
      let before = text.capacity
      text += piece
      try reservation.chargeBody(text.capacity - before)
    }
  }
}
