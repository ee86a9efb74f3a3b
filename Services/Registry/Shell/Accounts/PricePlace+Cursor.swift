import ClusterModel
import Foundation
import Hummingbird
import Money

// Places in the list of prices as cursors. A cursor is base64url, so that it needs no escapes in a
// URL.

extension PricePlace {
  /// Maximum bytes of a cursor: two names of 256 bytes and a number, in base64url.
  private static let longestCursor = 1_024
  /// Separates the three parts. Names of models and hosts in the price book have no control
  /// characters.
  private static let separator = UInt8(ascii: "\n")

  var cursor: String {
    let parts = [model.name, host?.name ?? "", "\(effectiveFrom)"]
    return Data(parts.joined(separator: "\n").utf8).base64EncodedString()
      .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }

  /// - Returns: `nil` if the text is no cursor of a list of prices.
  init?(cursor: String) {
    guard cursor.utf8.count <= Self.longestCursor else { return nil }
    let text = cursor.replacing("-", with: "+").replacing("_", with: "/")
    let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    guard let bytes = Data(base64Encoded: text + padding),
      let decoded = String(data: bytes, encoding: .utf8)
    else { return nil }
    let parts = decoded.utf8.split(separator: Self.separator, omittingEmptySubsequences: false)
      .map { String(Substring($0)) }
    guard parts.count == 3, let time = Int64(parts[2]) else { return nil }
    self.init(
      model: ModelID(parts[0]), host: parts[1].isEmpty ? nil : HostID(parts[1]),
      effectiveFrom: time)
  }
}

extension Request {
  /// The last price of the previous page. `nil` means the first page.
  var pricePlace: PricePlace? {
    get throws {
      guard let text = text("after") else { return nil }
      guard let place = PricePlace(cursor: text) else {
        throw AdminFailure(
          invalid: "after must be the member next of the previous page.", param: "after")
      }
      return place
    }
  }
}
