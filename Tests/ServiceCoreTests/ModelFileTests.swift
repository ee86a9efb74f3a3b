import ClusterModel
import CommandLineCore
import Testing

@Suite("Files of tutti up --model")
struct ModelFileTests {
  private static let files: [String: ModelFile.Finding] = [
    "/m/Qwen2.5-0.5B.gguf": .file(bytes: 400_000_000, start: Array("GGUF".utf8)),
    "/n/Qwen2.5-0.5B.gguf": .file(bytes: 1, start: Array("GGUF".utf8)),
    "odd=name.GGUF": .file(bytes: 2, start: Array("GGUF".utf8)),
    "/m/weights": .file(bytes: 3, start: Array("GGUF".utf8)),
    "/m/model.bin": .file(bytes: 4, start: Array("PK".utf8)),
    "/m/empty.gguf": .file(bytes: 0, start: []),
    "/m": .unreadable,
  ]

  private static func read(_ arguments: String...) -> (files: [ModelFile], mistakes: [String]) {
    ModelFile.read(arguments) { files[$0] ?? .missing }
  }

  @Test("a file has its own name or the one before the equals sign")
  func names() {
    let (files, mistakes) = Self.read(
      "/m/Qwen2.5-0.5B.gguf", "odd=name.GGUF", "big/one=/n/Qwen2.5-0.5B.gguf", "/m/weights")
    #expect(mistakes.isEmpty)
    #expect(
      files == [
        ModelFile(name: "Qwen2.5-0.5B", path: "/m/Qwen2.5-0.5B.gguf", bytes: 400_000_000),
        ModelFile(name: "odd=name", path: "odd=name.GGUF", bytes: 2),
        ModelFile(name: "big/one", path: "/n/Qwen2.5-0.5B.gguf", bytes: 1),
        ModelFile(name: "weights", path: "/m/weights", bytes: 3),
      ])
  }

  @Test("every mistake is named at once")
  func mistakes() {
    let (files, mistakes) = Self.read(
      "/m/weights", "/gone.gguf", "a=/gone.gguf", "/m", "/m/model.bin", "/m/empty.gguf",
      "=/m/weights", "tutti/fast=/m/weights",
      String(repeating: "n", count: 257) + "=/m/weights", "weights=/n/Qwen2.5-0.5B.gguf")
    #expect(files.map(\.name) == ["weights"])
    let parts = [
      "/gone.gguf” does not exist", "/gone.gguf” does not exist", "/m” is not a file",
      "/m/model.bin” is not a GGUF", "/m/empty.gguf” is not a GGUF", "it is empty", "are patterns",
      "longer than 256 bytes", "have the same name “weights”; name one with NAME=FILE",
    ]
    #expect(mistakes.count == parts.count)
    for (mistake, part) in zip(mistakes, parts) { #expect(mistake.contains(part), "\(mistake)") }
  }

  @Test("a model server gets its file and its name, and the embedded one gets neither")
  func arguments() throws {
    let file = ModelFile(name: "qwen", path: "/m/q.gguf", bytes: 20_000_000_000)
    func arguments(_ model: ModelFile?) throws -> [String] {
      let layout = ClusterLayout(
        dataDirectory: "/d", binDirectory: "/b", gatewayPort: 1,
        modelHosts: [
          .init(
            id: "embedded-1", port: 2, threads: 3, interpreter: "/p", launcher: "/l.py",
            model: model)
        ])
      return try #require(layout.children.first { $0.name == "embedded-1" }).arguments
    }
    let common = ["/l.py", "--port", "2", "--threads", "3", "--no-warm-up"]
    #expect(try arguments(nil) == common)
    #expect(try arguments(file) == common + ["--model", "/m/q.gguf", "--alias", "qwen"])
  }

  @Test("a start may take longer with a large file")
  func startLimit() {
    var layout = ClusterLayout(dataDirectory: "/d", binDirectory: "/b", gatewayPort: 1)
    #expect(layout.startLimit == .seconds(180))
    let file = ModelFile(name: "qwen", path: "/m/q.gguf", bytes: 20_000_000_000)
    layout.modelHosts = [
      .init(
        id: "embedded-1", port: 2, threads: 1, interpreter: "/p", launcher: "/l", model: file)
    ]
    #expect(layout.startLimit == .seconds(1_180))
    layout.modelHosts[0].model?.bytes = .max
    #expect(layout.startLimit > .seconds(1_180))
  }
}
