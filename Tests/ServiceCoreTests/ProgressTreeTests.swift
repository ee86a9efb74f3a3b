import ClusterModel
import ClusterTesting
import CommandLineCore
import Foundation
import Testing

@Suite("A plan's progress in a terminal")
struct ProgressTreeTests {
  private func steps(_ json: String) throws -> [ProgressStep] {
    try JSONDecoder().decode([ProgressStep].self, from: Data(json.utf8))
  }

  private let planned =
    #"[{"event":"planned","pattern":"tutti/ensemble","reason":"it was asked for","tasks":["#
    + #"{"task":"draft-1","role":"research","inputs":[]},"#
    + #"{"task":"draft-2","role":"creative","inputs":[]},"#
    + #"{"task":"answer","role":"coordinator","inputs":["draft-1","draft-2"]}]}]"#

  private func tree(_ more: String...) throws -> ProgressTree {
    var tree = ProgressTree(now: at(ms: 0))
    for json in [planned] + more {
      for step in try steps(json) { tree.take(step, now: at(ms: 1_000)) }
    }
    return tree
  }

  private func lines(_ tree: ProgressTree, _ now: Int = 2_000, width: Int = 80, height: Int = 20)
    -> [String]
  {
    tree.lines(now: at(ms: now), width: width, height: height)
  }

  @Test("nothing is drawn before there is a plan")
  func empty() {
    let tree = ProgressTree(now: at(ms: 0))
    #expect(tree.isEmpty && lines(tree).isEmpty)
  }

  @Test("the answer is at the top, under it the tasks that it reads")
  func shape() throws {
    #expect(
      lines(try tree()) == [
        "tutti/ensemble  2.0 s  it was asked for", "· answer  coordinator",
        "├ · draft-1  research", "└ · draft-2  creative",
      ])
  }

  @Test("each task shows how it does, where, and for how long")
  func states() throws {
    let tree = try tree(
      #"[{"event":"task_started","task":"draft-1","role":"research","agent":"a"}]"#,
      #"[{"event":"first_token","task":"draft-1","role":"research","host":"h1","model":"m"},"#
        + #"{"event":"task_ended","task":"draft-2","role":"creative","status":"skipped","#
        + #""reason":"lost"}]"#)
    #expect(
      lines(tree, 1_700)[2...] == [
        "├ ⠧ draft-1  research  on h1  0.7 s",
        "└ – draft-2  creative  skipped  lost",
      ])
    // The spinner turns.
    #expect(lines(tree, 1_800)[2].contains("⠇"))
    var over = tree
    for step in try steps(
      #"[{"event":"task_ended","task":"draft-1","status":"done","host":"h1","tokens":27,"#
        + #""total_ms":1758},{"event":"task_ended","task":"answer","status":"failed"}]"#)
    { over.take(step, now: at(ms: 2_000)) }
    #expect(lines(over)[1] == "✘ answer  coordinator  failed")
    #expect(lines(over)[2] == "├ ✔ draft-1  research  on h1  27 tokens  1.7 s")
  }

  @Test("tasks that come later take their place in the tree")
  func expansion() throws {
    let tree = try tree(
      #"[{"event":"expanded","task":"draft-1","added":1,"tasks":["#
        + #"{"task":"draft-1","role":"research","inputs":[]},"#
        + #"{"task":"draft-2","role":"creative","inputs":[]},"#
        + #"{"task":"answer","role":"coordinator","inputs":["review","draft-2"]},"#
        + #"{"task":"review","role":"critic","inputs":["draft-1"]}]}]"#)
    #expect(
      lines(tree)[1...] == [
        "· answer  coordinator", "├ · review  critic", "│ └ · draft-1  research",
        "└ · draft-2  creative",
      ])
  }

  @Test("lines are cut at the width, and too many of them are counted")
  func cut() throws {
    let narrow = lines(try tree(), width: 12, height: 3)
    #expect(narrow == ["tutti/ensemb", "· answer  co", "… and 2 more"])
    #expect(lines(try tree(), width: 80, height: 4).count == 4)
  }

  @Test("a plan that reads in circles, and names that move the cursor, are drawn all the same")
  func hostile() {
    var tree = ProgressTree(now: at(ms: 0))
    var step = ProgressStep(.planned)
    step.tasks = [
      .init(task: "a", inputs: ["b"]), .init(task: "b", inputs: ["a"]),
      .init(task: "c\u{1B}[2J", inputs: ["c\u{1B}[2J", "nobody"]),
    ]
    tree.take(step, now: at(ms: 0))
    let drawn = lines(tree)
    #expect(drawn.count == 4)
    #expect(drawn.allSatisfy { !$0.contains("\u{1B}") })
    for number in 0..<1_000 {
      var more = ProgressStep(.started, task: "t\(number)")
      more.role = "code"
      tree.take(more, now: at(ms: 0))
    }
    #expect(lines(tree, height: 10_000).count <= 257)
  }

  @Test("a frame takes back exactly the lines that it drew")
  func frame() {
    var frame = TerminalFrame()
    #expect(frame.draw(["a", "b"]) == "a\nb\n")
    #expect(frame.draw(["c"]) == "\u{1B}[2A\r\u{1B}[Jc\n")
    #expect(frame.erase() == "\u{1B}[1A\r\u{1B}[J")
    #expect(frame.erase().isEmpty)
  }

  @Test("without a terminal that can redraw, each step is a line")
  func plainLines() throws {
    let told =
      try steps(planned)
      + steps(
        #"[{"event":"task_started","task":"draft-1","role":"research","attempt":2},"#
          + #"{"event":"first_token","task":"draft-1","role":"research","host":"h1"},"#
          + #"{"event":"task_ended","task":"draft-1","role":"research","host":"h1","#
          + #""status":"done"},"#
          + #"{"event":"task_ended","task":"draft-2","status":"skipped","reason":"lost"},"#
          + #"{"event":"expanded","task":"plan","added":1,"tasks":[]},"#
          + #"{"event":"first_token","task":"answer","#
          + #""excerpt":{"documents":2,"bytes":90000,"read_bytes":24000}},"#
          + #"{"event":"of_a_later_version","task":"x"}]"#)
    #expect(
      told.map(\.line) == [
        "planned tutti/ensemble with 3 tasks: it was asked for",
        "task started draft-1 by research (attempt 2)",
        "first token draft-1 by research on h1", "task ended draft-1 by research on h1",
        "task ended draft-2 (skipped): lost", "expanded plan to 1 more task",
        "first token answer (excerpt of 2 documents)", "of a later version x",
      ])
  }
}
