/// Media types of images that models read.
public enum ImageType {
  /// Names of the supported formats, for messages.
  public static let names = "PNG, JPEG, GIF or WebP"

  /// Returns the media type of a file by its first bytes. `nil` means no supported format.
  public static func mediaType(of bytes: some Sequence<UInt8>) -> String? {
    let head = Array(bytes.prefix(12))
    if head.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return "image/png" }
    if head.starts(with: [0xFF, 0xD8, 0xFF]) { return "image/jpeg" }
    if head.starts(with: "GIF8".utf8) { return "image/gif" }
    if head.starts(with: "RIFF".utf8), head.dropFirst(8).elementsEqual("WEBP".utf8) {
      return "image/webp"
    }
    return nil
  }
}
