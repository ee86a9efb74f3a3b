import Testing

extension ProcessTests {
  @Suite("`tutti keys`, and the key of other commands")
  struct KeysCommandTests {
    @Test(
      "keys are made, listed, changed and revoked, and no secret leaves its way",
      arguments: ["created", "refused", "listed", "revoked", "imposter", "presented"])
    func check(name: String) async throws {
      let outcome = try await Programs.script(
        "keys_cli.py", [name, Programs.path("tutti")], in: TemporaryDirectory())
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}
