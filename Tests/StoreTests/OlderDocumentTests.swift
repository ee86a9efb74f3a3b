import ClusterModel
import Testing

@testable import Store

@Suite("Documents of an earlier version")
struct OlderDocumentTests {
  @Test("a request without cached tokens is read as one with none")
  func cachedTokens() {
    func record(_ document: BSONDocument) -> RequestRecord? {
      withExtendedLifetime(document) {
        requestRecord(unsafe BSONView(borrowing: document.handle))
      }
    }
    let trace = TraceID(high: 1, low: 2)
    func older() -> BSONDocument {
      BSONDocument().set("trace", trace.description).set("time", 5).set("prompt_tokens", 7)
        .set("completion_tokens", 2)
    }
    #expect(record(older())?.usage == Usage(promptTokens: 7, completionTokens: 2))
    #expect(record(older())?.cost == nil && record(older())?.hostCost == nil)
    #expect(record(older())?.shares == [] && record(older())?.finishReason == "")
    #expect(record(older().set("cached_tokens", 3))?.usage.cachedTokens == 3)
    // Another program may have written any number.
    #expect(record(older().set("cached_tokens", 9))?.usage.cachedTokens == 7)
  }
}
