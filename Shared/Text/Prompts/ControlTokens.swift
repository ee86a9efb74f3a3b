/// Text that models write for machines: control tokens of chat templates, and tags around
/// reasoning.
enum ControlTokens {
  enum Kind: Hashable, Sendable {
    /// A token without a meaning for a reader.
    case control
    /// A control token followed by the name of a role.
    case header
    /// `<s>`: starts a sequence for Llama and Mistral, but strikethrough text in HTML.
    case sequenceStart
    case sequenceEnd
    /// Starts reasoning that ends with `end`. `anywhere` means that it may also start within a
    /// line.
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

  /// Role names that a template writes after a header.
  static let roles: Set<[UInt8]> = Set(
    [
      "system", "user", "assistant", "model", "tool", "developer", "ipython", "analysis",
      "commentary", "final",
    ].map { Array($0.utf8) })

  /// Length of the longest role name.
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

  /// Tokens to find if reasoning is kept.
  static let withoutReasoning = Table(
    control.map { Token(bytes: Array($0.utf8), kind: .control) }
      + headers.map { Token(bytes: Array($0.utf8), kind: .header) }
      + [
        Token(bytes: Array("<s>".utf8), kind: .sequenceStart),
        Token(bytes: Array("</s>".utf8), kind: .sequenceEnd),
      ])

  /// Tokens to find if reasoning is removed.
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
    /// Indexed by the byte's value.
    private let byFirst: [[Token]]
    let longest: Int

    init(_ tokens: [Token]) {
      self.tokens = tokens
      var byFirst = [[Token]](repeating: [], count: 256)
      for token in tokens { byFirst[Int(token.bytes[0])].append(token) }
      self.byFirst = byFirst
      longest = tokens.reduce(0) { max($0, $1.bytes.count) }
    }

    func canStart(_ byte: UInt8) -> Bool { !byFirst[Int(byte)].isEmpty }

    /// Length of the longest token that begins at a position. 0 means none.
    func length(in bytes: [UInt8], at position: Int) -> Int {
      var length = 0
      for token in byFirst[Int(bytes[position])] where token.bytes.count > length {
        if bytes[position...].starts(with: token.bytes) { length = token.bytes.count }
      }
      return length
    }

    /// Finds the longest token at the start of the bytes, which must not be empty. `mayGrow` means
    /// that more bytes could make a longer token.
    func match(_ bytes: [UInt8]) -> (token: Token?, mayGrow: Bool) {
      var found: Token?
      var mayGrow = false
      for token in byFirst[Int(bytes[0])] {
        if token.bytes.count > bytes.count {
          mayGrow = mayGrow || token.bytes.starts(with: bytes)
        } else if bytes.starts(with: token.bytes), token.bytes.count > found?.bytes.count ?? 0 {
          found = token
        }
      }
      return (found, mayGrow)
    }

    /// Whether the next bytes could complete a token that starts in these bytes.
    func endsInside(_ bytes: [UInt8]) -> Bool {
      // Only the last bytes matter, because a token that began before them would have ended.
      bytes.indices.suffix(longest).contains { index in
        let tail = bytes[index...]
        return byFirst[Int(bytes[index])].contains {
          $0.bytes.count > tail.count && $0.bytes.starts(with: tail)
        }
      }
    }
  }

  // MARK: - Breaking tokens

  /// Longest name within `<|…|>` that counts as a control token, in bytes.
  private static let maximumNameBytes = 48

  /// Inserts a space into every control token and into every text that looks like one.
  ///
  /// Hosts read an unbroken token as a control token wherever it occurs. A second call changes
  /// nothing.
  static func broken(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var spaceAfter = -1
    for position in bytes.indices {
      let byte = bytes[position]
      result.append(byte)
      if withReasoning.canStart(byte),
        withReasoning.length(in: bytes, at: position) > 0 || isBarred(bytes, at: position)
      {
        // The space comes after the token's first character.
        spaceAfter = position + WordBorders.length(lead: byte) - 1
      }
      if position == spaceAfter { result.append(0x20) }
    }
    return result
  }

  private static let bars: [[UInt8]] = [Array("|".utf8), Array("｜".utf8)]

  /// Whether `<|name|>`, also with wide bars, starts here. Any name counts, because future templates
  /// may have tokens that are not known yet.
  private static func isBarred(_ bytes: [UInt8], at position: Int) -> Bool {
    guard bytes[position] == UInt8(ascii: "<") else { return false }
    for bar in bars where bytes[(position + 1)...].starts(with: bar) {
      let start = position + 1 + bar.count
      var index = start
      while index < bytes.count, index - start <= maximumNameBytes {
        if bytes[index...].starts(with: bar) {
          let end = index + bar.count
          return index > start && end < bytes.count && bytes[end] == UInt8(ascii: ">")
        }
        guard isOfName(bytes[index]) || bar.count > 1 && bytes[index] >= 0x80 else { break }
        index += 1
      }
    }
    return false
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: ":"):
      true
    default: false
    }
  }
}
