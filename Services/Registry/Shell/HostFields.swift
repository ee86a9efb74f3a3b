import ClusterModel
import Hummingbird
import Limits
import Money
import RegistryCore

/// The body of a POST or PATCH of a host.
struct HostFields {
  private static let slots = 1...65_536

  private let fields: JSONFields

  init(_ request: Request) async throws { fields = try await JSONFields(request) }

  func draft() throws -> HostDraft {
    try refuseFormerPrice()
    try fields.allow([
      "url", "id", "dialect", "resume", "credential", "allow_plain_http", "tier", "trust", "slots",
      "price_input", "price_output", "models", "tags", "region",
    ])
    guard let url = try fields.text("url") else {
      throw AdminFailure(Failure(.invalidRequest, "url is missing."), param: "url")
    }
    return HostDraft(
      url: url, id: try fields.text("id").map { HostID($0) },
      dialect: try chosen("dialect").newValue,
      resume: try chosen("resume").newValue, credential: try credential().newValue,
      allowsPlainHTTP: try fields.flag("allow_plain_http"),
      tier: try fields.choice("tier") ?? .community,
      trust: try fields.choice("trust") ?? .any,
      slots: try fields.integer("slots", in: Self.slots),
      price: try HostPrice.stated(
        input: try price("price_input").newValue, output: try price("price_output").newValue),
      models: try models().newValue ?? [], tags: try tags() ?? [], region: try region().newValue)
  }

  func patch() throws -> HostPatch {
    try refuseFormerPrice()
    try fields.allow([
      "dialect", "resume", "credential", "allow_plain_http", "tier", "trust", "slots",
      "price_input", "price_output", "models", "tags", "region",
    ])
    return HostPatch(
      dialect: try chosen("dialect"), resume: try chosen("resume"), credential: try credential(),
      allowsPlainHTTP: try fields.flag("allow_plain_http"), tier: try fields.choice("tier"),
      trust: try fields.choice("trust"), slots: try slots(),
      inputPrice: try price("price_input"), outputPrice: try price("price_output"),
      models: try models(), tags: try tags(), region: try region())
  }

  /// Explains the members that replaced `price_per_million`.
  private func refuseFormerPrice() throws {
    let name = "price_per_million"
    guard fields[name] != nil else { return }
    throw AdminFailure(
      invalid:
        "\(name) is replaced by price_input and price_output: credits per million tokens, as "
        + "strings such as \"0.15\".", param: name)
  }

  /// A price of the host in credits per million tokens. `null` means that no price is stated.
  private func price(_ name: String) throws -> HostPatch.Change<Int64> {
    switch fields[name] {
    case nil: return .unchanged
    case .null: return .learned
    case .text(let text):
      do throws(AmountTextError) {
        return .value(try TokenPrice.parse(text).count)
      } catch {
        throw AdminFailure(
          invalid: "\(name) must be credits per million tokens, or null: \(error).", param: name)
      }
    default: throw fields.wrong(name, "credits as a string such as \"0.15\", or null")
    }
  }

  /// Models of the host. `null` and an empty list mean the host's own list.
  private func models() throws -> HostPatch.Change<[ModelID]> {
    switch fields["models"] {
    case nil: return .unchanged
    case .null: return .learned
    case .texts(let names): return names.isEmpty ? .learned : .value(names.map { ModelID($0) })
    default: throw fields.wrong("models", "an array of strings, or null")
    }
  }

  /// Slots of the host. `null` means that the host's own report applies.
  private func slots() throws -> HostPatch.Change<Int> {
    guard fields["slots"] != nil else { return .unchanged }
    return try fields.integer("slots", in: Self.slots).map { .value($0) } ?? .learned
  }

  /// Tags of the host. `null` means no tags.
  private func tags() throws -> [String]? {
    guard let names = try fields.texts("tags") else { return nil }
    guard !HostRegistry.isUnfit(tags: names) else {
      throw fields.wrong(
        "tags",
        "an array of at most \(Limits.hostTags.value) names of \(HostTags.rule), or null")
    }
    return names
  }

  /// Region of the host. `null` removes the region.
  private func region() throws -> HostPatch.Change<String> {
    switch fields["region"] {
    case nil: return .unchanged
    case .null: return .learned
    case .text(let name) where HostTags.isName(name): return .value(name)
    default: throw fields.wrong("region", "a name of \(HostTags.rule), or null")
    }
  }

  /// One of the choices, or `auto`. `auto` means that the value is learned from the host's answers.
  private func chosen<Choice: RawRepresentable & CaseIterable & Equatable & Sendable>(
    _ name: String
  ) throws -> HostPatch.Change<Choice> where Choice.RawValue == String {
    switch fields[name] {
    case nil, .null: return .unchanged
    case .text("auto"): return .learned
    case .text(let text):
      if let choice = Choice(rawValue: text) { return .value(choice) }
    default: break
    }
    throw fields.wrong(
      name, "one of auto, " + Choice.allCases.map(\.rawValue).joined(separator: ", "))
  }

  /// Credential of the host. `null` removes it, because it cannot be learned from the host.
  private func credential() throws -> HostPatch.Change<String> {
    switch fields["credential"] {
    case nil: return .unchanged
    case .null: return .learned
    case .text(let text):
      do throws(Failure) {
        return .value(try CredentialReference(text).description)
      } catch {
        throw AdminFailure(error, param: "credential")
      }
    default: throw fields.wrong("credential", "a string like env:NAME or file:/path, or null")
    }
  }
}
