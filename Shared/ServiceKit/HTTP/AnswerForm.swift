import NIOHTTP1

/// Adapts the head of an answer to its request: HTTP version and CORS headers.
struct AnswerForm {
  /// Whether the client uses HTTP/1.0 or older, which has no chunked encoding. Closing the
  /// connection ends the answer.
  private(set) var isOld = false
  /// Value of `Access-Control-Allow-Origin`; `nil` means that the header is omitted.
  private var origin: String?
  /// Whether the answer depends on the `Origin` header and so needs `Vary: Origin`.
  private var varies = false

  init() {}

  init(of head: HTTPRequestHead, _ access: HTTPAccess?) {
    isOld = head.version == .http1_0 || head.version == .http0_9
    guard let access, !access.origins.isEmpty else { return }
    varies = !access.origins.contains("*")
    origin = head.headers["origin"].first.flatMap(access.readableOrigin)
  }

  var changesAnswers: Bool { isOld || origin != nil || varies }

  func apply(to head: inout HTTPResponseHead) {
    if isOld {
      head.version = .http1_0
      head.headers.remove(name: "transfer-encoding")
    }
    if varies { head.headers.add(name: "vary", value: "Origin") }
    guard let origin else { return }
    head.headers.add(name: "access-control-allow-origin", value: origin)
    let names = head.headers.lazy.map { $0.name.lowercased() }.filter {
      !Self.readable.contains($0)
    }
    let exposed = Set(names).sorted().joined(separator: ", ")
    if !exposed.isEmpty {
      head.headers.add(name: "access-control-expose-headers", value: exposed)
    }
  }

  /// Headers left out of `Access-Control-Expose-Headers`, because pages may always read them or do
  /// not need them.
  private static let readable: Set<String> = [
    "cache-control", "content-language", "content-length", "content-type", "expires",
    "last-modified", "pragma", "connection", "transfer-encoding", "vary", "date", "server",
    "access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
    "access-control-max-age", "access-control-allow-private-network",
  ]
}
