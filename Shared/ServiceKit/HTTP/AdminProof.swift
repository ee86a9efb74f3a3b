internal import Crypto
internal import Foundation

/// Proof that a registry knows the admin token. Without it a client would send the token to any
/// process that took over the registry's port.
public enum AdminProof {
  /// Length of a nonce: 32 random bytes in hexadecimal.
  public static let nonceDigits = 64

  public static func isNonce(_ text: String) -> Bool {
    text.utf8.count == nonceDigits
      && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  public static func nonce() -> String {
    var rng = SystemRandomNumberGenerator()
    return hexadecimal((0..<nonceDigits / 2).map { _ in UInt8.random(in: 0 ... .max, using: &rng) })
  }

  /// HMAC-SHA256 of a fixed prefix and the nonce, in hexadecimal digits. The prefix separates it
  /// from other uses of the token.
  public static func proof(token: [UInt8], nonce: String) -> String {
    let code = HMAC<SHA256>.authenticationCode(
      for: Data("tutti-registry-proof:\(nonce)".utf8), using: SymmetricKey(data: token))
    return hexadecimal(Array(code))
  }

  /// Whether the proof is right. The comparison takes the same time whichever digit is wrong.
  public static func isValid(_ proof: String, token: [UInt8], nonce: String) -> Bool {
    let (given, right) = (Array(proof.utf8), Array(Self.proof(token: token, nonce: nonce).utf8))
    guard given.count == right.count else { return false }
    return zip(given, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private static func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
