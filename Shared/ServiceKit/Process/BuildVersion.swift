import CBuildInfo
public import ClusterModel

extension Version {
  /// Version and commit of this build, for example `1.2.3 (abc1234)`. The version alone if the
  /// commit is unknown.
  public static let withCommit = text(current, commit: unsafe String(cString: cbuildinfo_commit()))

  static func text(_ version: String, commit: String) -> String {
    commit.isEmpty ? version : "\(version) (\(commit))"
  }
}
