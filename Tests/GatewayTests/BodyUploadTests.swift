import ClusterModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Overload
import OverloadCore
import Testing

@testable import GatewayService

@Suite("Body of a request")
struct BodyUploadTests {
  private func body(_ bytes: [UInt8], encoding: String? = nil) async throws -> [UInt8] {
    let admission = Admission(
      ClientShares(total: 10), memory: MemoryBudget(), logger: Logger(label: "test"))
    var head = HTTPRequest(
      method: .post, scheme: "http", authority: "h", path: "/v1/chat/completions")
    head.headerFields[.contentEncoding] = encoding
    let upload = BodyUpload(
      request: Request(head: head, body: RequestBody(buffer: ByteBuffer(bytes: bytes))),
      reservation: try admission.admit())
    return try await upload.receive(for: "", on: HeavyWork())
  }

  private func failure(_ work: () async throws -> [UInt8]) async -> Failure? {
    do {
      _ = try await work()
      return nil
    } catch {
      return error as? Failure
    }
  }

  @Test("a body is returned byte for byte, without a byte order mark")
  func plain() async throws {
    let text = Array("{\"é\":1} ".utf8)
    #expect(try await body(text) == text)
    #expect(try await body([0xEF, 0xBB, 0xBF] + text) == text)
    #expect(try await body(text, encoding: "identity") == text)
    #expect(try await body([]) == [])
  }

  @Test("a compressed body is decompressed, and its byte order mark is removed, too")
  func compressed() async throws {
    // gzip of a byte order mark and `{}`, as one stored block.
    let gzip: [UInt8] = [
      0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 5, 0, 0xFA, 0xFF, 0xEF, 0xBB, 0xBF, 0x7B, 0x7D,
      0x19, 0x7A, 0xA8, 0x8A, 5, 0, 0, 0,
    ]
    #expect(try await body(gzip, encoding: "gzip") == Array("{}".utf8))
  }

  @Test("a broken or unknown encoding is refused with its name")
  func refused() async throws {
    let noDeflate: [UInt8] =
      [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + Array(repeating: 0xFF, count: 20)
    let broken = await failure { try await body(noDeflate, encoding: "gzip") }
    #expect(broken?.code == .invalidRequest)
    let unknown = await failure { try await body([1, 2, 3], encoding: "snappy") }
    #expect(unknown?.code.rawValue == "unsupported_encoding")
    #expect(unknown?.message.contains("snappy") == true)
  }
}
