import ClusterModel
import CommandLineCore
import Testing

@Suite("Questions from arguments, standard input and files")
struct PromptInputTests {
  @Test("the parts are joined with an empty line between them")
  func joined() throws {
    #expect(
      try PromptInput.text(
        argument: "What changed?", standardInput: "+ a\n", files: [("n.txt", "b"), ("m.txt", "c")])
        == "What changed?\n\n+ a\n\n\nn.txt:\n\nb\n\nm.txt:\n\nc")
  }

  @Test("standard input alone is the question as it is", arguments: [nil, "-", " "])
  func alone(argument: String?) throws {
    #expect(try PromptInput.text(argument: argument, standardInput: " Why?\n") == " Why?\n")
  }

  @Test("white space is no part of the question")
  func blank() throws {
    #expect(try PromptInput.text(argument: "Why?", standardInput: "\n") == "Why?")
    #expect(try PromptInput.text(argument: "Why?", standardInput: nil) == "Why?")
  }

  @Test("an empty question is a usage mistake", arguments: [nil, "-", " \n"])
  func empty(argument: String?) {
    let failure = #expect(throws: ProcessFailure.self) {
      try PromptInput.text(argument: argument, standardInput: "")
    }
    #expect(failure?.status == .usage)
  }

  @Test("a question that the gateway would refuse is refused before it is sent")
  func long() {
    let half = String(repeating: "x", count: PromptInput.maximumBytes / 2)
    #expect(throws: ProcessFailure.self) {
      try PromptInput.text(argument: half, standardInput: half)
    }
  }

  @Test("pipes and files are read, terminals and devices only for -")
  func sources() {
    for source in PromptInput.Source.allCases {
      let isData = source == .pipe || source == .file
      func reads(_ argument: String?, excluding: Bool = false) -> Bool {
        PromptInput.readsStandardInput(
          argument: argument, source: source, isExcluded: excluding)
      }
      #expect(reads("Why?") == isData)
      #expect(reads(nil) == isData)
      #expect(reads("-"))
      #expect(!reads("Why?", excluding: true))
    }
  }

  @Test(
    "an image's media type is read from its first bytes",
    arguments: [
      ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0], "image/png"),
      ([0xFF, 0xD8, 0xFF, 0xE0], "image/jpeg"), (Array("GIF89a".utf8), "image/gif"),
      (Array("RIFF\u{1}\u{2}\u{3}\u{4}WEBPVP8 ".utf8), "image/webp"),
      (Array("RIFF\u{1}\u{2}\u{3}\u{4}WAVEfmt ".utf8), nil), (Array("%PDF-1.7".utf8), nil),
      ([], nil),
    ] as [([UInt8], String?)])
  func images(bytes: [UInt8], type: String?) {
    #expect(ImageType.mediaType(of: bytes) == type)
  }
}
