/// The model server that Tutti includes: llama.cpp with SmolLM2-135M-Instruct.
/// It runs in the Python of a virtual environment with the packages of requirements.txt.
public enum EmbeddedHost {
  /// The name under which the server offers its model.
  public static let model = "SmolLM2-135M-Instruct"

  /// The server's Python program, to be written to a file.
  /// Run from a file, the server appears with a path in the process list, and a restart needs only
  /// the file.
  public static var launcher: [UInt8] { PackageResources.embedded_host_py }

  /// Directories that may hold the virtual environment; the first one with an interpreter is used.
  /// - Parameters:
  ///   - named: from `--model-env` or `TUTTI_MODEL_ENV`. If named, no other directory is searched.
  ///   - dataDirectories: the cluster's, then the user's own.
  public static func candidates(named: String?, dataDirectories: [String]) -> [String] {
    if let named, !named.isEmpty { return [named] }
    return dataDirectories.map { $0 + "/model-env" }
  }

  /// Path of the interpreter in a virtual environment.
  public static func interpreter(in environment: String) -> String {
    environment + "/bin/python"
  }
}
