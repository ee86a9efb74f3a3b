import ClusterModel
import Foundation
import InferenceCore
import Testing

@testable import Inference

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

  @Test("come from the environment; an error names a missing variable")
  func environment() throws {
    let credentials = Credentials(
      environment: ["K_KEY": "s3", "K_EMPTY": "", "K_ODD": "a\nb", "KEY": "s4"],
      rules: CredentialRules(prefix: "K_"))
    #expect(try credentials.secret(for: host(nil)) == nil)
    #expect(try credentials.secret(for: host("env:K_KEY")) == "s3")
    for name in ["K_NAME", "K_EMPTY"] {
      #expect(
        message(credentials, "env:\(name)")
          == "the environment variable \(name) that host h1 needs is not set")
    }
    #expect(message(credentials, "env:K_ODD")?.contains("an HTTP header") == true)
    #expect(message(credentials, "env:K_ODD")?.contains("a\nb") == false)
    #expect(message(credentials, "env:KEY")?.contains("is not followed") == true)
  }

  @Test("are removed from a host's error messages, also in part")
  func hidden() {
    func told(_ message: String, _ secret: String?) -> String? {
      let items = Credentials.hide(
        secret, in: [.done, .broken(AttemptFailure(.status, message, status: 401))])
      #expect(items.first == .done)
      guard case .broken(let failure) = items.last, failure.status == 401 else { return nil }
      return failure.message
    }
    #expect(told("wrong key: sk-live-1, sk-live-1", "sk-live-1") == "wrong key: ***, ***")
    #expect(told("no such key", "sk-live-1") == "no such key")
    #expect(told("wrong key: sk-li…", "sk-live-1") == "wrong key: ***…")
    #expect(told("wrong key…", "sk-live-1") == "wrong key…")
    #expect(told("a wrong key", nil) == "a wrong key")
    // A one-letter secret occurs in any word and is not redacted.
    #expect(told("a wrong key", "a") == "a wrong key")
  }

  @Test("come from a file, without the white space around, again when it changed")
  func file() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "key")
    let credentials = Credentials(
      environment: [:], rules: CredentialRules(folder: folder.path))
    let reference = "file:\(file.path)"
    #expect(message(credentials, reference)?.hasSuffix("that host h1 needs is not there") == true)
    try Data("first\n".utf8).write(to: file)
    #expect(try credentials.secret(for: host(reference)) == "first")
    try Data(" second \n".utf8).write(to: file)
    #expect(try credentials.secret(for: host(reference)) == "second")
    // A link within the folder is allowed, because mounted secrets are replaced that way. A link
    // that leads out of the folder is refused.
    let link = folder.appending(path: "link")
    try FileManager.default.createSymbolicLink(at: link, withDestinationURL: file)
    #expect(try credentials.secret(for: host("file:\(link.path)")) == "second")
    let outside = folder.appending(path: "outside")
    try FileManager.default.createSymbolicLink(
      at: outside, withDestinationURL: URL(filePath: "/etc/passwd"))
    #expect(message(credentials, "file:\(outside.path)")?.contains("leads out of") == true)
    #expect(message(credentials, "file:/etc/passwd")?.contains("is not followed") == true)
    try Data().write(to: file)
    #expect(message(credentials, reference)?.hasSuffix("needs is empty") == true)
    try Data(count: 10_000).write(to: file)
    #expect(message(credentials, reference)?.contains("larger than") == true)
  }
}
