import Testing

extension ProcessTests {
  @Suite("`tutti apply` with a registry that fails in the middle")
  struct ApplyFailureTests {
    @Test(
      "no key is lost or made twice, and no change of another admin is overwritten",
      arguments: [
        "lost", "unsaved", "saved", "doubled", "changed", "guarded", "endless", "paged", "removed",
      ])
    func check(name: String) async throws {
      let outcome = try await Programs.script(
        "apply_cli.py", [name, Programs.path("tutti")], in: TemporaryDirectory())
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}
