import Limits
import Testing
import Text

@Suite("Room for documents in a prompt")
struct DocumentRoomTests {
  private func room(_ context: Int?, prompt: Int = 100, completion: Int = 512) -> Int {
    DocumentRoom.tokens(context: context, prompt: prompt, completion: completion)
  }

  @Test("it is four fifths of what prompt and answer leave of the context")
  func context() {
    #expect(room(2_048) == 1_149)
    #expect(room(16_612) == 12_800)
  }

  @Test("an unknown context counts as 4,096 tokens")
  func unknown() {
    #expect(room(nil) == room(DocumentRoom.unknownContext))
  }

  @Test("a long context has room up to the limit, and a full one for a passage")
  func bounds() {
    #expect(room(1_000_000) == Limits.documentTokens.value)
    #expect(room(512, prompt: 1_000) == 128)
    #expect(room(.max, prompt: .max, completion: .max) == 128)
    #expect(room(-1, prompt: -1, completion: -1) == 128)
  }
}
