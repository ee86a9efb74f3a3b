import ClusterModel
import CommandLineCore
import Testing

@Suite("Guesses for mistyped commands")
struct CommandGuessTests {
  private let tree = CommandTree(
    "tutti",
    subcommands: [
      CommandTree("ask"), CommandTree("status"),
      CommandTree(
        "hosts",
        subcommands: [
          CommandTree("list", aliases: ["ls"]), CommandTree("remove", aliases: ["rm"]),
          CommandTree("resume"),
        ]),
    ])

  private func message(_ arguments: String...) -> String? {
    CommandGuess.failure(for: arguments, in: tree)?.message
  }

  @Test("an unknown command gets the nearest command as a guess")
  func near() {
    #expect(
      message("stauts", "--json")
        == "stauts is no command of tutti; did you mean `tutti status`?")
    #expect(
      message("hosts", "lst")?.contains("is no command of tutti hosts; did you mean `tutti hosts l")
        == true)
    #expect(message("help", "stauts")?.contains("`tutti status`") == true)
  }

  @Test("a command like no other gets the list of commands")
  func far() {
    #expect(
      message("frobnicate")
        == "frobnicate is no command of tutti; the commands are: ask, status, hosts")
    #expect(
      message("hosts", "frobnicate")?.hasSuffix("the commands are: list, remove, resume") == true)
  }

  @Test("a question without a command gets the command that asks it")
  func question() {
    #expect(message("Why is the sky blue?")?.contains("tutti ask \"…\"") == true)
    // The argument is from outside and may be long.
    let long = String(repeating: "why ", count: 100_000)
    #expect((message(long)?.utf8.count ?? 0) < 1_000)
  }

  @Test(
    "known commands, aliases and options get no guess",
    arguments: [
      [], ["status"], ["status", "--jsn"], ["hosts", "rm", "gpu-1"], ["hosts", "ls"], ["--jsn"],
      ["ask", "Why?"], ["help", "hosts", "ls"],
    ])
  func known(arguments: [String]) {
    #expect(CommandGuess.failure(for: arguments, in: tree) == nil)
  }

  @Test("the exit status is that of a usage mistake")
  func status() {
    #expect(CommandGuess.failure(for: ["stauts"], in: tree)?.status == .usage)
  }
}
