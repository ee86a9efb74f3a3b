import ClusterModel
import CommandLineCore
import Testing

@Suite("Errors for a person at a terminal")
struct ErrorSentenceTests {
  @Test("a missing answer names the address and a remedy", arguments: ConnectionProblem.allCases)
  func address(problem: ConnectionProblem) {
    let failure = problem.failure(at: "http://127.0.0.1:8080/ready")
    #expect(failure.message.contains("http://127.0.0.1:8080/ready"))
    #expect(failure.message.contains("; "))
    #expect(failure.status == (problem == .timedOut ? .tryLater : .unavailable))
  }

  @Test("only an address where no cluster runs gets the advice to start one")
  func remedy() {
    #expect(ConnectionProblem.refused.failure(at: "u").message.contains("`tutti up`"))
    #expect(!ConnectionProblem.encryption.failure(at: "u").message.contains("tutti up"))
    #expect(!ConnectionProblem.unknownName.failure(at: "u").message.contains("tutti up"))
  }

  @Test(
    "requests in messages of services become commands",
    arguments: [
      (
        "no host offers the model `x`; GET /v1/models lists the available models",
        "no host offers the model `x`; `tutti status` lists the available models"
      ),
      (
        "There is no host x; `tutti hosts list` or GET /admin/v1/hosts lists all hosts.",
        "There is no host x; `tutti hosts list` lists all hosts."
      ),
      ("The key is 30/60 used.", "The key is 30/60 used."),
      ("", ""),
    ])
  func commands(message: String, shown: String) {
    #expect(ServerWords.withCommands(message) == shown)
  }
}
