import ServiceKit

/// A cluster's configuration file, which an operator may have from a stranger.
public enum SettingsFuzzEntry {
  public static func run(_ bytes: [UInt8]) {
    _ = ConfigurationFile(text: String(decoding: bytes, as: UTF8.self), path: "fuzz.yaml")
  }
}
