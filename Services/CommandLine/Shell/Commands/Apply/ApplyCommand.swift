import ArgumentParser
import ClusterModel
import CommandLineCore
import Files
import Foundation

struct ApplyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Make the cluster's records equal to a file.",
    discussion: """
        tutti apply -f cluster.yaml --dry-run
        tutti apply -f cluster.yaml
        tutti apply -f cluster.yaml --yes --keys-dir /run/secrets/tutti    # in a script
        tutti apply -f cluster.yaml --prune

      `tutti export` writes such a file. Sections: organisations, teams, hosts, models, prices, \
      tariff, settings, keys. Records of a section that the file does not have stay as they are; a \
      section without records is [] or {}. A member that a record does not have means its default \
      value.

      The differences are shown first: + created, ~ changed (old → new), - removed. Nothing is \
      removed without --prune, which removes organisations, teams, hosts, models and settings, and \
      revokes keys, of the sections in the file. Accounts in use stay, with a note; the id of a \
      removed organisation with entries in the ledger is not used again. A changed price is a new \
      price from now on. The command stops at the first failure and prints what was applied; a \
      second run makes the rest. Records that another admin changed since the comparison are not \
      overwritten.
      """)

  @OptionGroup var cluster: ClusterOptions
  @Option(
    name: [.customShort("f"), .long],
    help: ArgumentHelp("The file; - reads standard input.", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml"]))
  var file: String
  @Flag(help: "Show the differences and change nothing.") var dryRun = false
  @Flag(name: [.customShort("y"), .long], help: "Do not ask for confirmation.") var yes = false
  @Flag(help: "Remove records that the file's sections do not have.") var prune = false
  @Option(
    help: ArgumentHelp(
      "Directory for the secrets of new keys: NAME.key each, with mode 0600.",
      valueName: "directory"), completion: .directory)
  var keysDir: String?

  func run() async throws {
    let wanted = try ClusterFile(text: try Self.text(file), path: file)
    var connection = try await AdminConnection(try cluster.client())
    let state = try await connection.state(
      of: RecordKind.all.filter { wanted.needs($0, prune: prune) },
      keyBudgets: wanted.comparesKeys)
    let plan = try ClusterPlan(
      from: state, to: wanted, prune: prune, now: WallClock.milliseconds)
    for line in PlanText.lines(of: plan) { Terminal.line(line) }
    for note in plan.notes { Terminal.progress(note) }
    if plan.isEmpty {
      Terminal.line("no changes")
      return
    }
    if dryRun { return }
    let keyFiles = try NewKeyFiles(plan.newKeys, in: keysDir)
    if !yes {
      try Terminal.confirm("Make these changes?")
      // During the question, another program may have taken the registry's port. So the registry
      // must prove again that it knows the token.
      connection = try await AdminConnection(connection.client)
    }
    if !plan.newKeys.isEmpty {
      // Another admin may have made a key of the same name since the comparison. The registry
      // allows equal names and would make a second key.
      let made = try await connection.newKeyNames(since: state).intersection(plan.newKeys)
      guard made.isEmpty else {
        throw ProcessFailure(
          .failed,
          "another admin made the keys \(made.sorted().joined(separator: ", ")) since the "
            + "comparison; run the command again. Nothing was changed")
      }
    }
    try keyFiles.prepare()
    for (index, change) in plan.changes.enumerated() {
      do {
        try await connection.apply(change) { secret throws(ProcessFailure) in
          try keyFiles.save(secret, of: change.label)
        }
      } catch let failure as ProcessFailure {
        throw ProcessFailure(
          failure.status,
          PlanText.failure(of: plan, afterApplying: index, because: failure.message))
      }
    }
    Terminal.line("applied: " + PlanText.summary(of: plan.changes, isDone: true))
  }

  private static func text(_ path: String) throws -> String {
    let limit = ClusterFile.maximumBytes
    let file = path == "-" ? FileHandle.standardInput : FileHandle(forReadingAtPath: path)
    guard let file else { throw ProcessFailure(.usage, "\(path) does not exist or cannot be read") }
    var bytes = Data()
    do {
      // A pipe returns its contents in parts.
      while bytes.count <= limit,
        let part = try file.read(upToCount: limit + 1 - bytes.count), !part.isEmpty
      {
        bytes += part
      }
    } catch {
      // The beginning of a file must not pass for the whole file. With --prune, records of the rest
      // would be removed.
      throw ProcessFailure(
        .usage, "\(path) cannot be read to its end (\(ErrorSentence.of(file: error)))")
    }
    guard bytes.count <= limit, let text = String(data: bytes, encoding: .utf8) else {
      throw ProcessFailure(.usage, "\(path) is not a text file of at most \(limit >> 20) MiB")
    }
    return text
  }
}

/// Files for the secrets of new keys.
private struct NewKeyFiles {
  private let directory: String?
  /// Paths by name of the key.
  private let paths: [String: String]

  /// - Throws: if a secret could not be saved, or would replace another secret.
  init(_ names: [String], in directory: String?) throws(ProcessFailure) {
    self.directory = directory
    guard !names.isEmpty else {
      paths = [:]
      return
    }
    guard let directory else {
      throw ProcessFailure(
        .usage,
        "the file has new keys (\(names.joined(separator: ", "))), whose secrets the registry "
          + "returns only once; name a directory for them with --keys-dir. Nothing was changed")
    }
    var paths: [String: String] = [:]
    for (name, file) in try KeyFileName.names(for: names) {
      let path = "\(directory)/\(file)"
      guard !FileManager.default.fileExists(atPath: path) else {
        throw ProcessFailure(
          .usage,
          "\(path) exists, perhaps with the secret of another key; move it away. Nothing "
            + "was changed")
      }
      paths[name] = path
    }
    self.paths = paths
  }

  func prepare() throws(ProcessFailure) {
    guard let directory, !paths.isEmpty else { return }
    do throws(FileRefused) {
      try PrivateDirectory.prepare(directory)
    } catch {
      throw ProcessFailure(.usage, "--keys-dir: \(error.message) Nothing was changed.")
    }
  }

  func save(_ secret: String, of name: String) throws(ProcessFailure) {
    guard let path = paths[name] else { return }
    do throws(FileRefused) {
      // A file that appeared meanwhile is not replaced, because it may have another secret.
      guard try PrivateFile.create(path, Array((secret + "\n").utf8)) else {
        throw FileRefused("\(path) exists.")
      }
    } catch {
      throw ProcessFailure(.failed, "the secret is not saved: \(error.message)")
    }
    Terminal.progress("key \(name): the secret is in \(path)")
  }
}
