import CommandLineCore
import Testing

@Suite("Words of completions")
struct CompletionWordsTests {
  @Test("the value of an option is the next word, or the rest of its word")
  func values() {
    let words = ["tutti", "ask", "--url", "http://a", "--data-dir=/d", "-m"]
    #expect(CompletionWords.value(of: "--url", in: words) == "http://a")
    #expect(CompletionWords.value(of: "--data-dir", in: words) == "/d")
    #expect(CompletionWords.value(of: "--key-file", in: words) == nil)
    #expect(CompletionWords.value(of: "-m", in: words) == nil)
  }

  @Test("names of hosts that would break the shell's list are left out")
  func candidates() {
    #expect(
      CompletionWords.candidates([
        "qwen3:32b", "", "a b", "a\nb", "a\u{1B}[2J", "hf.co/x/y",
        String(repeating: "x", count: 257),
      ]) == ["qwen3:32b", "hf.co/x/y"])
    #expect(CompletionWords.candidates((0..<5_000).map { "m\($0)" }).count == 1_000)
  }
}
