import ClusterModel
import Foundation
import Inference
import Testing

@Suite("Secrets of hosts")
struct CredentialsTests {
  private func host(_ credential: String?) -> ClusterModel.Host {
    ClusterModel.Host(id: "h1", url: "http://h", credential: credential)
  }

  private func message(_ credentials: Credentials, _ reference: String) -> String? {
    do throws(Failure) {
      _ = try credentials.secret(for: host(reference))
      return nil
    } catch {
      return error.message
    }
  }

  @Test("come from the environment, or it is said which variable is missing")
  func environment() throws {
    let credentials = Credentials(environment: ["KEY": "s3", "EMPTY": "", "ODD": "a\nb"])
    #expect(try credentials.secret(for: host(nil)) == nil)
    #expect(try credentials.secret(for: host("env:KEY")) == "s3")
    for name in ["NAME", "EMPTY"] {
      #expect(
        message(credentials, "env:\(name)")
          == "the environment variable \(name) that host h1 needs is not set")
    }
    #expect(message(credentials, "env:ODD")?.contains("no HTTP header") == true)
    #expect(message(credentials, "env:ODD")?.contains("a\nb") == false)
  }

  @Test("come from a file, without the white space around, again when it changed")
  func file() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "key")
    let credentials = Credentials(environment: [:])
    let reference = "file:\(file.path)"
    #expect(message(credentials, reference)?.hasSuffix("that host h1 needs is not there") == true)
    try Data("first\n".utf8).write(to: file)
    #expect(try credentials.secret(for: host(reference)) == "first")
    try Data(" second \n".utf8).write(to: file)
    #expect(try credentials.secret(for: host(reference)) == "second")
    try Data().write(to: file)
    #expect(message(credentials, reference)?.hasSuffix("needs is empty") == true)
    try Data(count: 10_000).write(to: file)
    #expect(message(credentials, reference)?.contains("larger than") == true)
  }
}
