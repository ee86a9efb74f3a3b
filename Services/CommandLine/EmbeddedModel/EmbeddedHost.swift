/// The model server that Tutti includes: llama.cpp with SmolLM2-135M-Instruct.
/// It runs in the Python of a virtual environment with the packages of requirements.txt.
public enum EmbeddedHost {
  /// The name under which the server offers its model.
  public static let model = "SmolLM2-135M-Instruct"
  /// Size of the model's file. requirements.txt has the checksum of its package.
  public static let modelBytes: Int64 = 98_362_432

  /// The server's Python program, to be written to a file.
  /// Python runs the file, so the process list shows its path, and a restart needs only the file.
  public static var launcher: [UInt8] { PackageResources.embedded_host_py }

  /// Directories that may hold the virtual environment. The first one with an interpreter is used.
  /// - Parameters:
  ///   - named: directory from `--model-env` or `TUTTI_MODEL_ENV`. `nil` or empty means that the
  ///     data directories are searched.
  ///   - dataDirectories: the cluster's data directory, then the user's own.
  public static func candidates(named: String?, dataDirectories: [String]) -> [String] {
    if let named, !named.isEmpty { return [named] }
    return dataDirectories.map { $0 + "/model-env" }
  }

  /// Path of the interpreter in a virtual environment.
  public static func interpreter(in environment: String) -> String {
    environment + "/bin/python"
  }
}
