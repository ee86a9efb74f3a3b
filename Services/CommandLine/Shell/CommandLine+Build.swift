import ClusterModel
import CommandLineCore
import EmbeddedModel
import Foundation
import ServiceKit

/// Builds a cluster. Missing programs and taken ports are found before the first process starts, so
/// that no started process must be stopped again.
func buildCluster(
  _ options: UpConfiguration, environment: [String: String]
) async throws -> ClusterShell {
  let directory = absolutePath(options.dataDirectory)
  var layout = ClusterLayout(
    dataDirectory: directory, binDirectory: try binDirectory(),
    configFile: options.configFile.map(absolutePath), gatewayPort: options.gatewayPort,
    registryPort: options.registryPort, monitorPort: options.monitorPort, drain: options.drain)
  layout.usesTLS = options.usesTLS
  let missing = layout.executables.filter { !FileManager.default.isExecutableFile(atPath: $0) }
  guard missing.isEmpty else {
    throw ProcessFailure(
      .unavailable,
      "\(missing.joined(separator: ", ")) \(missing.count == 1 ? "is" : "are") missing; "
        + "build them with `swift build`, and keep all executables in one directory")
  }
  let servers = options.models.count + options.embeddedHosts
  let interpreter =
    servers > 0
    ? try modelInterpreter(options, dataDirectory: directory, environment: environment) : nil
  let lock = try await DataDirectoryLock(
    directory, patience: .seconds(15), notice: Terminal.progress)
  let names = ["the gateway", "the registry", "the monitor"]
  let taken = zip([layout.gatewayPort, layout.registryPort, layout.monitorPort], names)
    .filter { !LocalPort.isFree($0.0) }.map { "\($0.0) (for \($0.1))" }
  guard taken.isEmpty else {
    throw ProcessFailure(
      .unavailable,
      "already taken on 127.0.0.1: port \(taken.joined(separator: ", ")); "
        + "choose another with --port; the cluster uses that port and the next two")
  }
  if let interpreter {
    let embedded = Array(repeating: ModelFile?.none, count: options.embeddedHosts)
    layout.modelHosts = try modelHosts(
      serving: options.models.map(Optional.some) + embedded, interpreter: interpreter,
      dataDirectory: directory)
  }
  return ClusterShell(layout, hostURLs: options.hosts, lock: lock)
}

/// Directory of this executable, and of the services' executables.
func binDirectory() throws(ProcessFailure) -> String {
  guard let path = Bundle.main.executablePath else {
    throw ProcessFailure(.failed, "the path of this executable is not known")
  }
  return URL(fileURLWithPath: path).resolvingSymlinksInPath().deletingLastPathComponent().path
}

func absolutePath(_ path: String) -> String {
  URL(fileURLWithPath: path).standardizedFileURL.path
}

private func modelInterpreter(
  _ options: UpConfiguration, dataDirectory: String, environment: [String: String]
) throws(ProcessFailure) -> String {
  let directories = [dataDirectory, CommonConfiguration.defaultDataDirectory(environment)]
  let candidates = EmbeddedHost.candidates(
    named: options.modelEnvironment, dataDirectories: directories)
  for candidate in candidates {
    let interpreter = EmbeddedHost.interpreter(in: absolutePath(candidate))
    if FileManager.default.isExecutableFile(atPath: interpreter) { return interpreter }
  }
  throw ProcessFailure(
    .unavailable,
    "the local model server is not installed "
      + "(no Python in \(candidates.joined(separator: " or "))); "
      + "run `make setup`, or name a model server with `tutti up --host URL`")
}

/// - Parameter models: the file of each server. `nil` means the embedded model.
private func modelHosts(
  serving models: [ModelFile?], interpreter: String, dataDirectory: String
) throws -> [ClusterLayout.ModelHost] {
  let launcher = dataDirectory + "/embedded_host.py"
  do {
    try Data(EmbeddedHost.launcher).write(to: URL(fileURLWithPath: launcher), options: .atomic)
  } catch {
    throw ProcessFailure(
      .unavailable, "\(launcher) cannot be written (\(ErrorSentence.of(file: error)))")
  }
  let threads = ClusterLayout.threadsPerHost(
    cores: ProcessInfo.processInfo.activeProcessorCount, hosts: models.count)
  return try zip(LocalPort.free(models.count), models).enumerated().map { index, pair in
    ClusterLayout.ModelHost(
      id: HostID("embedded-\(index + 1)"), port: pair.0, threads: threads,
      interpreter: interpreter, launcher: launcher, model: pair.1)
  }
}
