/// Rewrites messages of services for a person at a terminal.
public enum ServerWords {
  /// Requests that the messages of services recommend, and the commands that do the same. The
  /// services write for programs, too, so their messages name requests.
  private static let commands: [(request: String, command: String)] = [
    (" or GET /admin/v1/hosts", ""),
    (" or GET /admin/v1/keys", ""),
    (" or GET /admin/v1/models", ""),
    ("GET /v1/models", "`tutti status`"),
    ("GET /v1/usage", "`tutti usage`"),
  ]

  /// Returns the message with commands in place of the requests that it recommends.
  public static func withCommands(_ message: String) -> String {
    guard message.utf8.contains(UInt8(ascii: "/")) else { return message }
    return commands.reduce(message) { $0.replacing($1.request, with: $1.command) }
  }
}
