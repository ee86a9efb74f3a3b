public import ClusterModel
import Money
import Text

/// Options of `tutti hosts add` and `tutti hosts set`, unchecked.
///
/// All mistakes are reported at once, one per line.
public struct HostOptions: Sendable {
  public var trust: String?
  public var tier: String?
  /// `free`, one price for all tokens, or the prices of prompt and answer: `0.15/0.6`.
  public var price: String?
  public var slots: Int?
  public var dialect: String?
  public var resume: String?
  public var credential: String?
  public var allowsPlainHTTP = false
  public var models: [String] = []
  public var tags: [String] = []
  public var region: String?
  /// Properties that `set` removes, by the names of their options.
  public var cleared: [String] = []

  public init() {}

  /// A property that `--clear` removes.
  public enum Property: String, CaseIterable, Sendable {
    case credential
    case models = "model"
    case tags = "tag"
    case region
    case price
    case slots

    /// Names of the members in JSON.
    var members: [String] {
      switch self {
      case .credential: ["credential"]
      case .models: ["models"]
      case .tags: ["tags"]
      case .region: ["region"]
      case .price: ["price_input", "price_output"]
      case .slots: ["slots"]
      }
    }
  }

  /// The body of a request that adds a host.
  ///
  /// - Parameter id: id of the host. `nil` means that the registry makes an id from the URL.
  public func body(url: String, id: String?) throws(ProcessFailure) -> [UInt8] {
    var members: [(String, JSON)] = [("url", .string(url))]
    if let id { members.append(("id", .string(id))) }
    return JSON.object(members + (try self.members())).encoded
  }

  /// The body of a request that changes a host. It has only the given members, and the registry
  /// keeps all other members. So two admins can change different properties at the same time.
  public func changes() throws(ProcessFailure) -> [UInt8] {
    let members = try members()
    guard members.contains(where: { $0.0 != Self.plainHTTP }) else {
      throw ProcessFailure(
        .usage, "no property to change is named; name one, for example --tag gpu")
    }
    return JSON.object(members).encoded
  }

  private static let plainHTTP = "allow_plain_http"

  private func members() throws(ProcessFailure) -> [(String, JSON)] {
    let mistakes = mistakes
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    var members: [(String, JSON)] = []
    for (name, value) in [
      ("trust", trust), ("tier", tier), ("dialect", dialect), ("resume", resume),
      ("credential", credential), ("region", region),
    ] {
      if let value { members.append((name, .string(value))) }
    }
    if let price, let (input, output) = try? Self.prices(price) {
      members += [("price_input", .string(input)), ("price_output", .string(output))]
    }
    if let slots { members.append(("slots", .integer(slots))) }
    for (name, values) in [("models", models), ("tags", tags)] where !values.isEmpty {
      members.append((name, .array(values.map(JSON.string))))
    }
    if allowsPlainHTTP { members.append((Self.plainHTTP, true)) }
    // `null` removes a value.
    let removed = Property.allCases.filter { cleared.contains($0.rawValue) }
    return members + removed.flatMap(\.members).map { ($0, .null) }
  }

  // MARK: - Checks

  private var mistakes: [String] {
    func choice<Choice: CaseIterable & RawRepresentable<String>>(
      _ name: String?, of _: Choice.Type, _ option: String, _ noun: String, hasAuto: Bool = false
    ) -> String? {
      guard let name, !hasAuto || name != "auto" else { return nil }
      return KeyOptions.mistake(in: name, of: Choice.self, option: option, noun)
    }
    let mistakes =
      [
        choice(trust, of: DataPolicy.self, "trust", "a level of trust"),
        choice(tier, of: HostTier.self, "tier", "a tier"),
        choice(dialect, of: HostDialect.self, "dialect", "a dialect", hasAuto: true),
        choice(resume, of: ResumeWay.self, "resume", "a way to resume", hasAuto: true),
        priceMistake, slotsMistake, credentialMistake,
      ]
      + models.filter { !Self.isModel($0) }.map { _ in
        "--model: a name is empty or has control characters"
      }
      + tags.map { Self.nameMistake($0, "tag") } + [
        region.flatMap { Self.nameMistake($0, "region") }
      ]
      + cleared.map {
        KeyOptions.mistake(in: $0, of: Property.self, option: "clear", "a property to remove")
      } + contradictions
    return mistakes.compactMap(\.self)
  }

  private var priceMistake: String? {
    guard let price else { return nil }
    do throws(AmountTextError) {
      _ = try Self.prices(price)
      return nil
    } catch {
      return
        "--price: “\(price.cut(toBytes: 40))” is not IN/OUT in credits per million tokens, such "
        + "as 0.15/0.6, one price for both, or free: \(error)"
    }
  }

  /// The prices of prompt and answer, in credits per million tokens.
  private static func prices(
    _ text: String
  ) throws(AmountTextError) -> (input: String, output: String) {
    if text == "free" { return ("0", "0") }
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let last = parts.last else { throw .notDecimal }
    return (try TokenPrice.parse(first).credits, try TokenPrice.parse(last).credits)
  }

  private var slotsMistake: String? {
    guard let slots, !(1...65_536).contains(slots) else { return nil }
    return "--slots: \(slots) is not from 1 to 65536"
  }

  private var credentialMistake: String? {
    guard let credential else { return nil }
    do throws(Failure) {
      _ = try CredentialReference(credential)
      return nil
    } catch {
      return "--\(error.message)"
    }
  }

  private static func isModel(_ name: String) -> Bool {
    !name.utf8.isEmpty && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
  }

  private static func nameMistake(_ name: String, _ option: String) -> String? {
    HostTags.isName(name)
      ? nil : "--\(option): “\(name.cut(toBytes: 40))” is not a name of \(HostTags.rule)"
  }

  private var contradictions: [String?] {
    let given: [(Property, Bool)] = [
      (.credential, credential != nil), (.models, !models.isEmpty), (.tags, !tags.isEmpty),
      (.region, region != nil), (.price, price != nil), (.slots, slots != nil),
    ]
    return given.filter { $0.1 && cleared.contains($0.0.rawValue) }
      .map { "--clear \($0.0.rawValue) contradicts --\($0.0.rawValue)" }
  }
}
