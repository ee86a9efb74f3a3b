import Foundation
import Testing

@testable import ServiceKit

@Suite("A registry proves itself")
struct AdminProofTests {
  private let token = Array("0123456789abcdef".utf8)

  @Test("the proof needs the token, and fits one nonce")
  func proof() {
    let nonce = AdminProof.nonce()
    #expect(AdminProof.isNonce(nonce) && nonce != AdminProof.nonce())
    let proof = AdminProof.proof(token: token, nonce: nonce)
    #expect(AdminProof.isValid(proof, token: token, nonce: nonce))
    #expect(!AdminProof.isValid(proof, token: token, nonce: AdminProof.nonce()))
    #expect(!AdminProof.isValid(proof, token: token + [0x30], nonce: nonce))
    for wrong in ["", "0", String(proof.dropLast()), proof + "0", proof.uppercased() + " "] {
      #expect(!AdminProof.isValid(wrong, token: token, nonce: nonce))
    }
    #expect(!proof.contains("0123456789abcdef"))
  }

  @Test("it is HMAC-SHA256 over a fixed text and the nonce, for clients in other languages")
  func vector() {
    // Computed with python3: hmac.new(b"0123456789abcdef", b"tutti-registry-proof:" + b"0" * 64,
    // "sha256")
    #expect(
      AdminProof.proof(token: token, nonce: String(repeating: "0", count: 64))
        == "50af6fe38df55aeb906b4ea97121df308ac93eb331207b6b1c499dbddb7427c5")
  }

  @Test("a nonce of another length or alphabet is none")
  func nonces() {
    for text in ["", "ab", String(repeating: "G", count: 64), String(repeating: "a", count: 65)] {
      #expect(!AdminProof.isNonce(text))
    }
  }

  @Test("a note about crashes comes back as it was written, and other text is no note")
  func note() {
    let note = CrashNote(
      count: 3, lastUnixSeconds: 1_700_000_000, reason: "was killed by signal 11")
    #expect(CrashNote(note.description) == note)
    for text in ["", "3", "3 4", "0 1 x", "x 1 y", "-1 1 y"] { #expect(CrashNote(text) == nil) }
  }
}
