import Access
import Testing

struct AccessScopeTests {
  @Test func scopesAreNamedAsAdminsWriteThem() {
    #expect(AccessScope(rawValue: "admin:write") == .adminWrite)
  }
}
