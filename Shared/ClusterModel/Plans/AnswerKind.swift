/// Form of the answer that a request asks for. It decides how drafts are compared.
public enum AnswerKind: String, Codable, CaseIterable, Sendable {
  /// One short answer, such as a number, a name or a letter.
  case closed
  /// One JSON value.
  case json
  case code
  case prose
  /// Prose about the documents of the request.
  case documents
}
