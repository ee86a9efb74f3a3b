import ContentCoding
import Foundation
import Limits
import Testing

@Suite("Compressed bodies")
struct BodyDecoderTests {
  /// Two chunks and `[DONE]`, compressed.
  static let stream: [(coding: ContentCoding, base64: String)] = [
    (
      .gzip,
      "H4sIAAAAAAACA72OsQrCMBRF93xFuXMoumZWcNIPKEVi8iTR9L3SpCiU/rvp5uDs+O47HI63xZpmQfQwcNCQ24Nc2Y5gS+tkGBOVKNy6MPOzAm4iW6jie41BPKXKDtseJDrKMF21sac3zE6j/ouFWeCEC/EmPlFKglXjHjnmcK2+LAzDc0prvyrl/9/UvGRK/kcUcpERX1nd4XI+9kp9AJKt5+05AQAA"
    ),
    (
      .deflate,
      "eNq9jrEKwjAURfd8RblzKLpmVnDSDyhFYvIk0fS90qQolP676ebg7PjuOxyOt8WaZkH0MHDQkNuDXNmOYEvrZBgTlSjcujDzswJuIluo4nuNQTylyg7bHiQ6yjBdtbGnN8xOo/6LhVnghAvxJj5RSoJV4x455nCtviwMw3NKa78q5f/f1LxkSv5HFHKREV9Z3eFyPvZKfQD762Zk"
    ),
    (
      .deflate,
      "vY6xCsIwFEX3fEW5cyi6ZlZw0g8oRWLyJNH0vdKkKJT+u+nm4Oz47jscjrfFmmZB9DBw0JDbg1zZjmBL62QYE5Uo3Low87MCbiJbqOJ7jUE8pcoO2x4kOsowXbWxpzfMTqP+i4VZ4IQL8SY+UUqCVeMeOeZwrb4sDMNzSmu/KuX/39S8ZEr+RxRykRFfWd3hcj72Sn0A"
    ),
    (
      .zstd,
      "KLUv/QBodQQAgsofGWB3DuQ8dXO1p4ec7IgQaK/LgBGZRBCQywEAsBhIUiinelqHsWosAIBt2WK8pF629bhiHguSkHO3vWPk4/opecrea/o3I8O7QZ8xlNA1RW/xQv3s3afrI8Oe7gg95Pm42rtL8npWkA1NjtTUK8z37PVzOWr67ns9hK4F+uaDAQMQBxqjYJJCgZdUCg=="
    ),
  ]

  static let text =
    #"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#
    + "\n\n"
    + #"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" world"},"finish_reason":"stop"}]}"#
    + "\n\ndata: [DONE]\n\n"

  /// 8 MB of zeros in 258 bytes of zstd.
  private static let bomb =
    "KLUv/QBoTAAACAABAPz/ORACAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAADABAA"

  static func bytes(_ base64: String) -> [UInt8] { [UInt8](Data(base64Encoded: base64) ?? Data()) }

  /// Decodes a body in pieces, at most `limit` bytes per call.
  private func decoded(
    _ body: [UInt8], _ coding: ContentCoding, piece: Int, limit: Int = 7
  ) throws(BrokenCoding) -> [UInt8] {
    let decoder = BodyDecoder(coding)
    var text: [UInt8] = []
    for start in stride(from: 0, to: body.count, by: piece) {
      decoder.push(body[start..<min(start + piece, body.count)])
      if start + piece >= body.count { decoder.finish() }
      while true {
        let more = try decoder.pull(limit)
        guard !more.isEmpty else { break }
        #expect(more.count <= limit)
        text += more
      }
    }
    return text
  }

  @Test("a body is decoded to the same text however it arrives", arguments: [1, 2, 3, 50, 10_000])
  func pieces(piece: Int) throws {
    for (coding, base64) in Self.stream {
      let text = try decoded(Self.bytes(base64), coding, piece: piece)
      #expect(String(decoding: text, as: UTF8.self) == Self.text, "\(coding)")
    }
  }

  @Test("members of gzip data follow each other, and zeros at the end are padding")
  func members() throws {
    let one = Self.bytes(Self.stream[0].base64)
    for piece in [1, 7, 10_000] {
      let text = try decoded(one + one + [0, 0, 0], .gzip, piece: piece)
      #expect(String(decoding: text, as: UTF8.self) == Self.text + Self.text)
    }
  }

  @Test("a body that is not compressed although its header says so is passed on")
  func untrueHeader() throws {
    for coding in ContentCoding.allCases {
      for text in ["data: {}\n\n", "{", ": ping\n\n", "[1]", "<html>"] {
        #expect(try decoded(Array(text.utf8), coding, piece: 1) == Array(text.utf8), "\(coding)")
      }
      #expect(try decoded([], coding, piece: 1).isEmpty)
    }
  }

  @Test("a body that is cut short gives what came, and one that is damaged is an error")
  func damaged() throws {
    for (coding, base64) in Self.stream {
      let body = Self.bytes(base64)
      let half = try decoded(Array(body.prefix(body.count / 2)), coding, piece: 9)
      #expect(Self.text.utf8.starts(with: half))
    }
    var body = Self.bytes(Self.stream[0].base64)
    body[12] ^= 0xFF
    body[13] ^= 0xFF
    do throws(BrokenCoding) {
      let text = try decoded(body, .gzip, piece: 5)
      #expect(text != Array(Self.text.utf8))
    } catch {
      #expect(error.cause == .invalid && error.description.contains("gzip"))
    }
  }

  @Test("a body that decodes to far more bytes ends at the limit, in small pieces")
  func bomb() {
    var count = 0
    var cause: BrokenCoding.Cause?
    let decoder = BodyDecoder(.zstd)
    decoder.push(Self.bytes(Self.bomb))
    do throws(BrokenCoding) {
      while true {
        let bytes = try decoder.pull(8_192)
        guard !bytes.isEmpty else { break }
        count += bytes.count
      }
    } catch {
      cause = error.cause
    }
    #expect(cause == .bomb && count <= Limits.decodedFreely.value)
  }

  @Test(
    "codings are known by their names",
    arguments: [
      ("gzip", ContentCoding.gzip), ("x-gzip", .gzip), ("GZIP", .gzip), (" deflate ", .deflate),
      ("identity", .identity), ("", .identity), ("identity, gzip", .gzip), ("zstd", .zstd),
    ])
  func names(header: String, coding: ContentCoding) throws {
    #expect(try ContentCoding(header: [header]) == coding)
  }

  @Test("other codings are named in the error, at most 64 bytes of them")
  func unknown() {
    for (header, name) in [("br", "br"), ("gzip, br", "gzip, br"), ("é", "??")] {
      #expect(throws: UnknownCoding.self) { try ContentCoding(header: [header]) }
      do throws(UnknownCoding) {
        _ = try ContentCoding(header: [header])
      } catch {
        #expect(error.name == name)
      }
    }
    do throws(UnknownCoding) {
      _ = try ContentCoding(header: [String(repeating: "z", count: 10_000)])
    } catch {
      #expect(error.name.utf8.count == 64)
    }
  }
}
