import ServiceKit

/// Fuzzer entry: reads a cluster's configuration file, which may come from an untrusted source.
public enum SettingsFuzzEntry {
  public static func run(_ bytes: [UInt8]) {
    _ = ConfigurationFile(text: String(decoding: bytes, as: UTF8.self), path: "fuzz.yaml")
  }
}
