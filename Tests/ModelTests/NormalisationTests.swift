import ClusterModel
import Testing
import Text

@Suite("Normalisation of what models write")
struct NormalisationTests {
  static let cases: [(given: String, expected: String)] = [
    ("Hello<|im_end|>", "Hello"),
    ("<|im_start|>assistant\nHello<|im_end|>\n<|endoftext|>", "Hello"),
    ("<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>", "Hi"),
    ("<start_of_turn>model\nHi<end_of_turn>", "Hi"),
    ("<s>[INST] Hi [/INST] Hello</s>", "Hi Hello"),
    ("foo</s><s>[INST] bar", "foo bar"),
    ("<｜begin▁of▁sentence｜>你好<｜end▁of▁sentence｜>", "你好"),
    (
      "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
      "Yes."
    ),
    // Texts that only resemble markers.
    ("The price was <s>10</s> 8", "The price was <s>10</s> 8"),
    ("a < b, x[0] <| f |> g, [INS", "a < b, x[0] <| f |> g, [INS"),
    ("assistant\nuser", "assistant\nuser"),
    ("end of text <|im_e", "end of text <|im_e"),
    // Quoted markers.
    ("Qwen ends with `<|im_end|>`.<|im_end|>", "Qwen ends with `<|im_end|>`."),
    ("``a ` <think> `` b</s>", "``a ` <think> `` b"),
    ("an open ` here</s>\nand </s>there", "an open ` here\nand there"),
    ("```\n<|im_end|>  \n\n\n\nx\n```<|im_end|>\n", "```\n<|im_end|>  \n\n\n\nx\n```"),
    ("~~~~\n```\n</s>\n~~~~\n</s>x", "~~~~\n```\n</s>\n~~~~\nx"),
    ("- a\n  ```py\n  </s>\n  ```\n- b</s>", "- a\n  ```py\n  </s>\n  ```\n- b"),
    // Removal must not create a new marker.
    ("<|im_<|im_end|>end|>x", "<|im_ end|>x"),
    ("``</s>`\ncode", "`` `\ncode"),
    // Reasoning.
    ("<think>\nHm.\n</think>\n\nYes.", "Yes."),
    ("<think></think><reasoning>a</reasoning> Yes.", "Yes."),
    ("One.\n\n<think>\n```\n</think>\n\nTwo.", "One.\n\nTwo."),
    ("Write <think>x</think> around it.", "Write <think>x</think> around it."),
    ("Hm, it opened elsewhere.</think>Yes.", "Hm, it opened elsewhere.Yes."),
    ("Yes.\n<think>cut off", "Yes."),
    // White space.
    (" Hello  \r\nworld\t\r\n\r\n\r\n\r\nagain\r", "Hello\nworld\n\nagain"),
    ("\n\n  - a\n  - b\n\n", "  - a\n  - b"),
    ("", ""), (" \n ", ""),
  ]

  @Test("text for machines is removed, text for readers stays", arguments: cases)
  func examples(given: String, expected: String) {
    #expect(Normaliser.normalised(given) == expected)
  }

  @Test("reasoning that the client asked for stays, its template's tokens do not")
  func reasoningKept() {
    let text = "<think>\nHm.</think>\nYes.<|im_end|>"
    #expect(Normaliser.normalised(text, keepsReasoning: true) == "<think>\nHm.</think>\nYes.")
  }

  @Test("an answer that starts within reasoning starts after it")
  func startsInReasoning() {
    var normaliser = Normaliser(startsInReasoning: true)
    let said = normaliser.append("Hm.\n</thi") + normaliser.append("nk>\n\nYes.")
    #expect(said + String(decoding: normaliser.finish(), as: UTF8.self) == "Yes.")
  }

  @Test("a stream comes out as the whole text does, wherever it is cut", arguments: cases)
  func everyCut(given: String, expected: String) {
    let bytes = Array(given.utf8)
    for cut in 0...bytes.count {
      var normaliser = Normaliser()
      let said = normaliser.append(bytes[..<cut]) + normaliser.append(bytes[cut...])
      #expect(said + normaliser.finish() == Array(expected.utf8), "cut at \(cut)")
    }
  }

  @Test("text without anything to hold back comes at once")
  func prompt() {
    var normaliser = Normaliser()
    #expect(normaliser.append("Hello, world") == "Hello, world")
    #expect(normaliser.append(" <|im") == "")
    #expect(normaliser.append("possible") == " <|impossible")
    #expect(normaliser.append(" `a` b") == " `a` b")
  }

  @Test("doing it twice changes nothing, and a stream is the whole, for random text")
  func randomText() {
    let pieces = [
      "<|im_end|>", "<|im_start|>", "assistant", "user", "<|channel|>", "analysis", "<|message|>",
      "<|end|>", "<think>", "</think>", "<reasoning>", "</reasoning>", "</s>", "<s>", "[INST]",
      "[/INST]", "<|im_", "end|>", "<", "|", ">", "[", "INST]", "`", "``", "```", "~~~", "~", "\n",
      "\n", "\n\n\n", "\r\n", "\r", " ", "   ", "\t", "word", "é", "😀", "<｜end", "▁of▁sentence｜>",
      "- ", "# ", "◁think▷", "◁/think▷", "<thi", "nk>", "</",
    ]
    for seed in 1...2_000 as ClosedRange<UInt64> {
      var rng = SplitMix64(seed: seed)
      let count = Int.random(in: 1...24, using: &rng)
      var text = ""
      for _ in 0..<count { text += pieces[Int.random(in: 0..<pieces.count, using: &rng)] }
      let keeps = seed % 5 == 0
      let once = Normaliser.normalised(text, keepsReasoning: keeps)
      let twice = Normaliser.normalised(once, keepsReasoning: keeps)
      guard Array(once.utf8) == Array(twice.utf8) else {
        Issue.record(
          "seed \(seed): \(text.debugDescription) → \(once.debugDescription) → \(twice.debugDescription)"
        )
        return
      }
      var normaliser = Normaliser(keepsReasoning: keeps)
      var said: [UInt8] = []
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        let length = Int.random(in: 1...7, using: &rng)
        said += normaliser.append(rest.prefix(length))
        rest = rest.dropFirst(length)
      }
      said += normaliser.finish()
      guard said == Array(once.utf8) else {
        Issue.record("seed \(seed): \(text.debugDescription) in pieces")
        return
      }
    }
  }
}
