import Foundation
import NIOCore
import NIOHTTP1

/// Writes the parts of a faulty host's responses.
struct FaultyHostWriter: Sendable {
  /// - Parameter length: `nil` means chunked transfer coding.
  func writeHead(_ channel: any Channel, type: String, length: Int?) {
    var headers = HTTPHeaders()
    headers.add(name: "content-type", value: type)
    if let length { headers.add(name: "content-length", value: "\(length)") }
    let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
    channel.write(HTTPServerResponsePart.head(head), promise: nil)
  }

  func writeBody(_ bytes: [UInt8], _ channel: any Channel) {
    let buffer = channel.allocator.buffer(bytes: bytes)
    channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(buffer)), promise: nil)
  }

  func writeJSON(_ value: some Encodable, to channel: any Channel) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    write(status: 200, Array((try? encoder.encode(value)) ?? Data()), to: channel)
  }

  /// - Parameter isLast: whether to end the response; otherwise the caller ends it.
  func write(
    status: Int, _ bytes: [UInt8], headers: HTTPHeaders = HTTPHeaders(), isLast: Bool = true,
    to channel: any Channel
  ) {
    var headers = headers
    headers.add(name: "content-type", value: "application/json")
    headers.add(name: "content-length", value: "\(bytes.count)")
    let head = HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: headers)
    channel.write(HTTPServerResponsePart.head(head), promise: nil)
    channel.write(
      HTTPServerResponsePart.body(.byteBuffer(channel.allocator.buffer(bytes: bytes))),
      promise: nil)
    if isLast { channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil) }
  }
}
