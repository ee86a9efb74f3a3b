/// The model server that Tutti brings along: llama.cpp with SmolLM2-135M-Instruct, run by the
/// Python of a virtual environment that has the packages of requirements.txt.
public enum EmbeddedHost {
  /// The name it serves its model under.
  public static let model = "SmolLM2-135M-Instruct"

  /// The Python program that serves it, to be written to a file: a process list then shows a
  /// path, and a restart needs nothing but that file.
  public static var launcher: [UInt8] { PackageResources.embedded_host_py }

  /// Directories where the virtual environment may be, the first that has an interpreter counts.
  /// - Parameters:
  ///   - named: by `--model-env` or `TUTTI_MODEL_ENV`. What is named is not searched for elsewhere.
  ///   - dataDirectories: the cluster's, then the user's own.
  public static func candidates(named: String?, dataDirectories: [String]) -> [String] {
    if let named, !named.isEmpty { return [named] }
    return dataDirectories.map { $0 + "/model-env" }
  }

  /// The interpreter within a virtual environment.
  public static func interpreter(in environment: String) -> String {
    environment + "/bin/python"
  }
}
