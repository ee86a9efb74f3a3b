extension RecordKind {
  /// A record's name for people, without its kind.
  func label(of record: FileRecord) -> String {
    switch identity {
    case .single: ""
    case .map, .member: record.id ?? ""
    case .nameOrID: keyLabel(record.members, id: record.id)
    case .prices: PriceListing(record.members).label
    }
  }

  func label(of record: ClusterRecord) -> String {
    switch identity {
    case .single: ""
    case .map, .member: record.id
    case .nameOrID: keyLabel(record.members, id: record.id)
    case .prices: PriceListing(record.members).label
    }
  }

  private func keyLabel(_ members: [String: RecordValue], id: String?) -> String {
    let name = members["name"]?.text ?? ""
    return id.map { "\(name) (\($0))" } ?? name
  }
}
