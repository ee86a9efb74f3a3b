import CommandLineCore
import Foundation
import NIOHTTP1

/// The registry's API of settings that change at run time.
extension ClusterClient {
  private var settingsURL: String { address.registry + "/admin/v1/settings" }

  func settings() async throws -> Answer {
    try await success(.GET, settingsURL, token: provenToken())
  }

  /// - Returns: all settings after the change.
  func change(_ change: SettingChange) async throws -> Answer {
    try await changeSettings(change.body)
  }

  /// - Parameter body: the new values as JSON, by the names of their settings.
  /// - Returns: all settings after the change.
  func changeSettings(_ body: [UInt8]) async throws -> Answer {
    try await success(.PATCH, settingsURL, token: provenToken(), json: Data(body))
  }
}
