/// What models write for machines and not for readers: the control tokens of chat templates, and the
/// tags around reasoning.
enum ControlTokens {
  enum Kind: Hashable, Sendable {
    /// Means nothing to a reader.
    case control
    /// A control token that a role's name follows.
    case header
    /// `<s>`: begins a sequence for Llama and Mistral, but a struck-out passage in HTML.
    case sequenceStart
    case sequenceEnd
    /// Begins reasoning that ends with that literal; `anywhere`: also within a line.
    case reasoningStart(end: Literal, anywhere: Bool)
    case reasoningEnd
  }

  struct Literal: Hashable, Sendable {
    let bytes: [UInt8]

    init(_ text: String) { bytes = Array(text.utf8) }
  }

  struct Token: Sendable {
    let bytes: [UInt8]
    let kind: Kind
  }

  /// Names that a template writes after a header.
  static let roles: Set<[UInt8]> = Set(
    [
      "system", "user", "assistant", "model", "tool", "developer", "ipython", "analysis",
      "commentary", "final",
    ].map { Array($0.utf8) })

  /// The longest of them.
  static let maximumRoleBytes = 10

  private static let control = [
    // ChatML: Qwen, SmolLM, Yi, Hermes, InternLM.
    "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|box_start|>",
    "<|box_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|vision_start|>",
    "<|vision_end|>",
    // Llama 3 and 4.
    "<|begin_of_text|>", "<|end_of_text|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>",
    "<|python_tag|>", "<|finetune_right_pad_id|>", "<|header_end|>", "<|eot|>", "<|eom|>",
    // Llama 2 and Mistral.
    "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    // Gemma.
    "<end_of_turn>", "<bos>", "<eos>", "<pad>", "<unk>",
    // Phi, GLM, Zephyr, Falcon, Granite.
    "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|observation|>", "<|end_of_role|>",
    "<|end_of_sentence|>", "[gMASK]", "<sop>", "<eop>",
    // Command R.
    "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|USER_TOKEN|>",
    "<|SYSTEM_TOKEN|>", "<BOS_TOKEN>", "<EOS_TOKEN>", "<|START_RESPONSE|>", "<|END_RESPONSE|>",
    // DeepSeek.
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>",
    "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
    // gpt-oss.
    "<|message|>", "<|return|>", "<|call|>", "<|constrain|>", "<|startoftext|>",
  ]

  private static let headers = [
    "<|im_start|>", "<|start_header_id|>", "<|header_start|>", "<start_of_turn>",
    "<|start_of_role|>", "<|start|>", "<|channel|>",
  ]

  private static let reasoning: [(start: String, end: String, anywhere: Bool)] = [
    ("<think>", "</think>", false), ("<thinking>", "</thinking>", false),
    ("<thought>", "</thought>", false), ("<reasoning>", "</reasoning>", false),
    ("<reflection>", "</reflection>", false), ("[THINK]", "[/THINK]", false),
    ("◁think▷", "◁/think▷", false), ("<|START_THINKING|>", "<|END_THINKING|>", true),
    ("<|channel|>analysis<|message|>", "<|end|>", true),
  ]

  /// Tokens that are looked for when reasoning is kept, and when it is not.
  static let withoutReasoning = Table(
    control.map { Token(bytes: Array($0.utf8), kind: .control) }
      + headers.map { Token(bytes: Array($0.utf8), kind: .header) }
      + [
        Token(bytes: Array("<s>".utf8), kind: .sequenceStart),
        Token(bytes: Array("</s>".utf8), kind: .sequenceEnd),
      ])

  static let withReasoning = Table(
    withoutReasoning.tokens
      + reasoning.flatMap { tag -> [Token] in
        let end = Literal(tag.end)
        let start = Token(
          bytes: Array(tag.start.utf8), kind: .reasoningStart(end: end, anywhere: tag.anywhere))
        let isControl = control.contains(tag.end)
        return isControl ? [start] : [start, Token(bytes: end.bytes, kind: .reasoningEnd)]
      })

  /// Tokens by their first byte.
  struct Table: Sendable {
    let tokens: [Token]
    private let byFirst: [UInt8: [Token]]
    let longest: Int

    init(_ tokens: [Token]) {
      self.tokens = tokens
      byFirst = Dictionary(grouping: tokens) { $0.bytes[0] }
      longest = tokens.reduce(0) { max($0, $1.bytes.count) }
    }

    func canStart(_ byte: UInt8) -> Bool { byFirst[byte] != nil }

    /// Of the bytes, which begin with a token's first byte: the longest token that they begin with,
    /// and whether more bytes could make a longer one.
    func match(_ bytes: [UInt8]) -> (token: Token?, mayGrow: Bool) {
      var found: Token?
      var mayGrow = false
      for token in byFirst[bytes[0]] ?? [] {
        if token.bytes.count > bytes.count {
          mayGrow = mayGrow || token.bytes.starts(with: bytes)
        } else if bytes.starts(with: token.bytes), token.bytes.count > found?.bytes.count ?? 0 {
          found = token
        }
      }
      return (found, mayGrow)
    }

    /// Whether what comes next could make a token together with the end of these bytes.
    func endsInside(_ bytes: [UInt8]) -> Bool {
      bytes.indices.contains { index in
        let tail = bytes[index...]
        return (byFirst[bytes[index]] ?? []).contains {
          $0.bytes.count > tail.count && $0.bytes.starts(with: tail)
        }
      }
    }
  }
}
