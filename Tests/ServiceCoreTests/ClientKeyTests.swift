import Access
import ClusterModel
import Testing

@testable import CommandLineCore

@Suite("The key of a command")
struct ClientKeyTests {
  @Test("the variable comes before --key-file, and both before the saved key")
  func sources() {
    func source(_ variable: String?, _ file: String?) -> ClientKey.Source {
      ClientKey.Source(variable: variable, keyFile: file, dataDirectory: "/data")
    }
    #expect(source("k", "/f") == .variable)
    #expect(source("", "/f") == .file("/f"))
    #expect(source(nil, nil) == .saved("/data/client-key"))
  }

  @Test("white space around a key is ignored, and other text is refused without repeating it")
  func contents() throws {
    #expect(try ClientKey(" \ntutti-a\r\n".utf8, from: .variable).revealed == "tutti-a")
    for text in ["", " \n", "two words", "line\nline", "caf\u{E9}secret", "a\u{0}b"] {
      do {
        _ = try ClientKey(text.utf8, from: .file("/f"))
        Issue.record("\(text)")
      } catch {
        #expect(error.status == .usage && error.message.contains("/f"))
        #expect(!error.message.contains("secret") && !error.message.contains("two words"))
      }
    }
    #expect(throws: ProcessFailure.self) {
      _ = try ClientKey([UInt8](repeating: 0x61, count: 4_097), from: .variable)
    }
  }

  @Test("a key is not printed with its description")
  func description() throws {
    let key = try ClientKey("tutti-secret".utf8, from: .variable)
    #expect("\(key)" == "*** (TUTTI_API_KEY)")
    var dumped = ""
    dump(key, to: &dumped)
    #expect(!dumped.contains("secret"))
  }

  @Test("the advice after a refusal names the three ways to give a key, and the one that was used")
  func advice() {
    for source in [nil, ClientKey.Source.variable, .file("/f"), .saved("/d/client-key")] {
      let advice = ClientKey.advice(afterRefusing: source)
      for way in ["TUTTI_API_KEY", "--key-file", "tutti keys create NAME --save"] {
        #expect(advice.contains(way))
      }
    }
    #expect(ClientKey.advice(afterRefusing: nil).hasPrefix("no key was sent"))
    #expect(ClientKey.advice(afterRefusing: .file("/f")).contains("came from /f"))
  }

  @Test("a key goes to a cluster that proves itself, and never unencrypted over a network")
  func destinations() throws {
    func destination(_ url: String) throws -> KeyDestination {
      KeyDestination(try ClusterAddress(gatewayURL: url))
    }
    let own = ClusterAddress(
      gateway: "http://127.0.0.1:1", registry: "http://127.0.0.1:2", monitor: "http://127.0.0.1:3",
      pid: 1)
    #expect(KeyDestination(own) == .provenCluster)
    for url in [
      "https://llm.example", "http://127.0.0.1:8080", "http://127.1.2.3:8080",
      "http://localhost:8080/v1", "http://[::1]:8080",
    ] {
      #expect(try destination(url) == .allowed, "\(url)")
    }
    for url in [
      "http://llm.example", "http://10.0.0.7:8080", "http://127.0.0.1.example:80",
      "http://localhost.example", "http://127.example", "http://[::2]:8080", "http://0.0.0.0:8080",
    ] {
      #expect(try destination(url) == .refused, "\(url)")
    }
    // The admin token follows the same rule.
    #expect(KeyDestination.tokenRefusal(registry: "http://127.0.0.1:8081") == nil)
    #expect(KeyDestination.tokenRefusal(registry: "https://llm.example:444") == nil)
    let refusal = try #require(KeyDestination.tokenRefusal(registry: "http://10.0.0.7:8081"))
    #expect(refusal.contains("http://10.0.0.7:8081") && refusal.contains("https://"))
    // In these URLs, the local address is only a user name. Reading such a URL may already fail.
    for url in ["http://127.0.0.1:80@llm.example", "http://[::1]@llm.example"] {
      #expect((try? destination(url)) != .allowed, "\(url)")
    }
  }
}

@Suite("Consent and access in words")
struct KeyWordsTests {
  @Test("only a typed yes is consent")
  func consent() {
    for answer in ["yes", "y", " YES \r"] { #expect(Confirmation.isGiven(by: answer)) }
    for answer in ["", "no", "yesterday", "true"] { #expect(!Confirmation.isGiven(by: answer)) }
    #expect(!Confirmation.isGiven(by: nil))
  }

  @Test("the start line of a cluster shows whether requests need a key")
  func access() {
    #expect(AccessLine.text(isOpen: true).hasPrefix("open: no key exists; `tutti keys create"))
    #expect(AccessLine.text(isOpen: false) == "keys required")
    #expect(AccessLine.text(isOpen: nil).hasPrefix("not known"))
  }
}

@Suite("Secrets in arguments")
struct HiddenSecretTests {
  private func key() throws -> APIKey { try #require(APIKey(random: 0..<48)) }

  @Test("a key is named by its id, with or without its beginning")
  func reference() throws {
    let key = try key()
    #expect(try KeyReference.id("\(key.id)") == key.id)
    #expect(try KeyReference.id("tutti-\(key.id)") == key.id)
    for text in [
      "", "laptop", key.revealed, "tutti-\(key.id)-", String(key.revealed.dropLast()),
      String(key.revealed.dropFirst(19)),
    ] {
      do {
        _ = try KeyReference.id(text)
        Issue.record("\(text)")
      } catch {
        #expect(error.status == .usage)
        #expect(!error.message.contains(key.revealed.dropFirst(19).dropLast()))
      }
    }
  }

  @Test("errors that repeat arguments show no secret of a key")
  func hiding() throws {
    let key = try key()
    let secret = String(key.revealed.dropFirst(19))
    for text in [
      "Unexpected argument '\(key.revealed)'", key.revealed, "\(key.revealed)\(key.revealed)",
      "x=\(key.revealed)x", String("“\(key.revealed)".dropLast(3)),
    ] {
      let shown = HiddenSecrets.hide(in: text)
      #expect(!shown.contains(secret.prefix(10)), "\(shown)")
      #expect(shown.contains("\(key.id)-***"))
    }
    for text in ["", "tutti-", "tutti-agent-research", "tutti-\(key.id)", "tutti keys – é"] {
      #expect(HiddenSecrets.hide(in: text) == text)
    }
  }
}
